/**
 * Before and after at once: a second map, made when it is first needed, that moves with the first.
 * For a swipe it lies over the first, cut off at the line, and lets every click through; side by side
 * it is a map of its own. A blink needs no second map: the image before is loaded in the first, once it is
 * wanted.
 */
import type { Map as MapLibreMap } from "maplibre-gl";

import type { Bounds } from "../geo/outline";
import { addressOf, type Looks } from "../review/looks";
import { shown, views, type ViewsState } from "../review/views";
import { addImagery, type ImageryLayer } from "./imagery";
import { bareMap, reportTo } from "./start";

export interface Before {
  readonly scene: string;
  readonly bounds: Bounds | null;
  readonly looks: Looks;
}

interface Twin {
  close(): void;
}

/** Draws buildings and the rest on a map; returns how to stop. */
type Dress = (map: MapLibreMap) => () => void;

/** Follow what the person chooses. `host` holds the first map; the second becomes its neighbour. */
export function compareOn(main: MapLibreMap, host: HTMLElement, before: Before, dress: Dress): void {
  const stage = host.parentElement as HTMLElement;
  let twin: Promise<Twin> | null = null;

  const apply = (state: ViewsState): void => {
    const mode = shown(state);
    stage.dataset["views"] = mode;
    stage.style.setProperty("--split", `${state.split}%`);
    for (const other of stage.querySelectorAll<HTMLElement>(".twin")) other.inert = mode !== "side";
    if (mode !== "one") {
      twin ??= openTwin(main, host, before, dress);
      twin.catch(() => {
        twin = null;
        views.one();
      });
    } else if (state.mode === "one" && twin) {
      void twin.then((open) => open.close(), () => undefined);
      twin = null;
    }
  };
  views.store.watch(apply);
  apply(views.store.now);
}

async function openTwin(
  main: MapLibreMap,
  host: HTMLElement,
  before: Before,
  dress: Dress,
): Promise<Twin> {
  const container = document.createElement("div");
  container.className = "map twin";
  container.setAttribute("role", "region");
  container.setAttribute("aria-label", "Map of the image before");
  container.dataset["mapIdle"] = "false";
  container.inert = host.parentElement?.dataset["views"] !== "side";
  host.after(container);
  const map = await bareMap(container, {
    center: main.getCenter(),
    zoom: main.getZoom(),
    locale: { "Map.Title": "The image before, to be moved with the keys" }, // told from the other by name
  });
  reportTo(container, map);
  const unfollow = followLook(addImagery(map, "before", before.bounds, addressOf(before.scene, before.looks.store.now)), before);
  const undress = dress(map);
  const apart = inStep(main, map);
  const markers = [pointAt(main, container), pointAt(map, host)];
  return {
    close() {
      apart();
      unfollow();
      undress();
      for (const remove of markers) remove();
      map.remove();
      container.remove();
    },
  };
}

/** Show a layer as the person wishes to see its scene, now and whenever that changes. */
export function followLook(layer: ImageryLayer, { scene, looks }: Pick<Before, "scene" | "looks">, share = () => 1): () => void {
  const SETTLED_MS = 150; // a slider that is still moving asks for no tiles
  let timer: ReturnType<typeof setTimeout> | undefined;
  const fade = (): void => layer.fade((looks.store.now.opacity / 100) * share());
  const stop = looks.store.watch((look) => {
    fade();
    clearTimeout(timer);
    timer = setTimeout(() => layer.show(addressOf(scene, look)), SETTLED_MS);
  });
  fade();
  return () => {
    clearTimeout(timer);
    stop();
  };
}

/** Two maps that show the same ground; returns how to part them. */
function inStep(one: MapLibreMap, other: MapLibreMap): () => void {
  let busy = false;
  const follow = (from: MapLibreMap, to: MapLibreMap) => (): void => {
    if (busy) return;
    busy = true;
    to.jumpTo({ center: from.getCenter(), zoom: from.getZoom() });
    busy = false;
  };
  const [forth, back] = [follow(one, other), follow(other, one)];
  one.on("move", forth);
  other.on("move", back);
  forth(); // it may have moved while the other was opened
  return () => {
    one.off("move", forth);
    other.off("move", back);
  };
}

/** A mark on the other map, at the ground that the pointer is on. */
function pointAt(map: MapLibreMap, other: HTMLElement): () => void {
  const mark = document.createElement("div");
  mark.className = "twin-pointer";
  mark.hidden = true;
  other.append(mark);
  const hide = (): void => void (mark.hidden = true);
  const show = ({ point }: { point: { x: number; y: number } }): void => {
    mark.hidden = false;
    mark.style.transform = `translate(${point.x}px, ${point.y}px)`;
  };
  map.on("mousemove", show);
  map.on("mouseout", hide);
  return () => {
    map.off("mousemove", show);
    map.off("mouseout", hide);
    mark.remove();
  };
}
