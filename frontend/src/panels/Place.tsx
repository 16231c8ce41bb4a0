/** Where one is: coordinates of pointer and middle, and going to a coordinate or a building. */
import { useEffect, useRef, useState } from "preact/hooks";

import { findBuilding } from "../api/finding";
import { Refused } from "../api/client";
import type { Place as Spot } from "../geo/places";
import { ground } from "../review/ground";
import { read, shelf, write } from "../review/looks";
import type { Session } from "../review/session";
import { useStore } from "../review/store";
import { NO_MAP } from "../review/views";

/** The library that computes UTM and MGRS; not needed to begin. */
type Coordinates = typeof import("../geo/coordinates");

const FORMS = { decimal: "Lat, long", utm: "UTM", mgrs: "MGRS" } as const;
type Form = keyof typeof FORMS;

const NOT_LOADED = "Coordinates cannot be computed: that part of the page did not arrive. Load the page again.";

export function Place({ session }: { session: Session }) {
  const key = `coordinates:${session.page.user}`;
  const [form, setForm] = useState<Form>(() => formOf(read(shelf(), key)));
  const [coordinates, setCoordinates] = useState<Coordinates | null>(null);
  const { centre, pointer } = useStore(ground);
  const say = (text: string, bad = false): void => session.store.set({ message: { text, bad } });
  useEffect(() => {
    import("../geo/coordinates").then(setCoordinates, () => say(NOT_LOADED, true));
  }, []);
  const written = (spot: Spot | null): string | null =>
    spot && coordinates ? (coordinates[form](spot) ?? coordinates.OUTSIDE) : null;
  return (
    <div class="place">
      <GoTo session={session} coordinates={coordinates} say={say} />
      <label class="form">
        <span class="unseen">Form of coordinates</span>
        <select
          name="coordinates"
          value={form}
          onChange={(event) => {
            const chosen = formOf(event.currentTarget.value);
            setForm(chosen);
            write(shelf(), key, chosen);
          }}
        >
          {Object.entries(FORMS).map(([value, name]) => (
            <option key={value} value={value}>{name}</option>
          ))}
        </select>
      </label>
      <Coordinate name="Pointer" text={written(pointer)} say={say} />
      <Coordinate name="Centre" text={written(centre)} say={say} />
    </div>
  );
}

type Say = (text: string, bad?: boolean) => void;

function Coordinate({ name, text, say }: { name: string; text: string | null; say: Say }) {
  const output = useRef<HTMLElement>(null);
  const copy = async (): Promise<void> => {
    if (text === null) return say("There is nothing to copy yet.");
    try {
      await navigator.clipboard.writeText(text);
      say(`Copied: ${text}`);
    } catch {
      if (output.current) getSelection()?.selectAllChildren(output.current);
      say("This browser does not let the page copy. It is selected: press Ctrl C.");
    }
  };
  return (
    <span class="coordinate" data-coordinate={name.toLowerCase()}>
      <span class="quiet">{name}</span> <code ref={output}>{text ?? "–"}</code>
      <button type="button" class="small" aria-label={`Copy coordinates: ${name.toLowerCase()}`} onClick={() => void copy()}>
        Copy
      </button>
    </span>
  );
}

interface GoToProps {
  session: Session;
  coordinates: Coordinates | null;
  say: Say;
}

function GoTo({ session, coordinates, say }: GoToProps) {
  const [trouble, setTrouble] = useState("");
  const go = async (text: string): Promise<string> => {
    if (!coordinates) return NOT_LOADED;
    const found = coordinates.understood(text);
    if (found.is === "wrong") return found.message;
    if (found.is === "id") return toBuilding(session, found.text);
    if (!ground.mover) return NO_MAP;
    ground.mover.to(found.place);
    const outside = isOutside(session, found.place);
    say(`Gone to ${coordinates.decimal(found.place)}${outside ? ", which is outside of this image" : ""}.`, outside);
    return "";
  };
  return (
    <form
      class="goto"
      role="search"
      aria-label="Go to a place"
      onSubmit={(event) => {
        event.preventDefault();
        const text = String(new FormData(event.currentTarget).get("place") ?? "");
        setTrouble("");
        go(text).then(setTrouble, (error: unknown) => {
          if (!(error instanceof Refused)) throw error;
          setTrouble(error.message);
        });
      }}
    >
      <input
        name="place"
        aria-label="Coordinate or building id"
        aria-describedby="goto-trouble"
        aria-invalid={trouble !== ""}
        placeholder="Coordinate or id"
        autocomplete="off"
        spellcheck={false}
        onInput={() => setTrouble("")}
      />
      <button type="submit" class="small">Go to</button>
      <p id="goto-trouble" class="trouble" role="alert">{trouble}</p>
    </form>
  );
}

async function toBuilding(session: Session, begins: string): Promise<string> {
  const { uid, bounds } = await findBuilding(session.page.id, begins);
  session.goTo(bounds);
  await session.pick(uid);
  return "";
}

function isOutside({ page: { bounds } }: Session, { lng, lat }: Spot): boolean {
  if (!bounds) return false;
  const [west, south, east, north] = bounds;
  return lng < west || lng > east || lat < south || lat > north;
}

const formOf = (value: unknown): Form => (value === "utm" || value === "mgrs" ? value : "decimal");

/** Put the cursor where one says where to go; for keys and buttons elsewhere. */
export function openGoTo(): void {
  document.querySelector<HTMLInputElement>(".goto input")?.focus();
}
