/** How a scene is looked at: bands, brightness, contrast, opacity. Kept per person and scene. */
import { tileAddress, type SceneFacts } from "../api/imagery";
import { createStore, type Store } from "./store";

export interface Look {
  /** Three numbers for red, green and blue, one for grey; null: as the scene is always shown. */
  readonly bands: readonly number[] | null;
  readonly brightness: number; // percent, -100 to 100
  readonly contrast: number; // percent, -100 to 100
  readonly opacity: number; // percent, 0 to 100; done by the map, not by the tile server
}

export const PLAIN: Look = { bands: null, brightness: 0, contrast: 0, opacity: 100 };

/** The part of a tile's address that says how it looks: the same look is the same address. */
export function query({ bands, brightness, contrast }: Look): string {
  const parts = [
    ...(bands ? [`bands=${bands.join(",")}`] : []),
    ...(brightness ? [`brightness=${brightness}`] : []),
    ...(contrast ? [`contrast=${contrast}`] : []),
  ];
  return parts.length ? `?${parts.join("&")}` : "";
}

export const addressOf = (scene: string, look: Look): string => tileAddress(scene, query(look));

/** Plants are red then: near infrared, red and green as red, green and blue. */
export function falseColour({ near_infrared, shown }: SceneFacts): readonly number[] | null {
  const [red, green] = shown;
  if (near_infrared === null || red === undefined || green === undefined) return null;
  return [near_infrared, red, green];
}

export const isPlain = (look: Look): boolean => query(look) === "" && look.opacity === 100;

export interface Looks {
  readonly store: Store<Look>;
  change(part: Partial<Look>): void;
  reset(): void;
}

/** Where habits are kept; `localStorage`, unless the browser forbids it. */
export interface Shelf {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

export function createLooks(shelf: Shelf | null, person: string, scene: string): Looks {
  const key = `look:${person}:${scene}`;
  const store = createStore<Look>(kept(read(shelf, key)));
  const change = (part: Partial<Look>): void => {
    store.set(part);
    write(shelf, key, store.now);
  };
  return { store, change, reset: () => change(PLAIN) };
}

/** A kept look, each part of it only if it can still be one. */
export function kept(value: unknown): Look {
  const { bands, brightness, contrast, opacity } = (value ?? {}) as Record<string, unknown>;
  const within = (given: unknown, least: number, other: number): number =>
    typeof given === "number" && given >= least && given <= 100 ? Math.round(given) : other;
  const chosen =
    Array.isArray(bands) && [1, 3].includes(bands.length) && bands.every((one) => Number.isInteger(one) && one >= 1)
      ? (bands as number[])
      : null;
  return {
    bands: chosen,
    brightness: within(brightness, -100, 0),
    contrast: within(contrast, -100, 0),
    opacity: within(opacity, 0, 100),
  };
}

/** What a shelf has under a key, parsed; null where there is nothing that can be read. */
export function read(shelf: Shelf | null, key: string): unknown {
  try {
    return JSON.parse(shelf?.getItem(key) ?? "null");
  } catch {
    return null;
  }
}

/** Keep a habit; a full or forbidden shelf costs the habit and nothing else. */
export function write(shelf: Shelf | null, key: string, value: unknown): void {
  try {
    shelf?.setItem(key, JSON.stringify(value));
  } catch {
    // habits are not worth a message
  }
}

/** The browser's shelf; null where it is forbidden. */
export function shelf(): Shelf | null {
  try {
    return localStorage;
  } catch {
    return null;
  }
}
