/** A map with nothing on it but the imagery of a scene. Nothing is asked of any other host. */
import {
  AttributionControl,
  Map as MapLibreMap,
  NavigationControl,
  ScaleControl,
  setWorkerUrl,
  type IControl,
  type LngLatBoundsLike,
  type MapOptions,
} from "maplibre-gl";
import workerUrl from "maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url";
import "maplibre-gl/dist/maplibre-gl.css";

import type { Bounds } from "../geo/outline";
import { PLAIN, addressOf } from "../review/looks";
import { addImagery } from "./imagery";

setWorkerUrl(workerUrl);

const GROUND = "#10151c";

export interface Imagery {
  scene: string;
  bounds: Bounds | null;
}

/** Room for what lies over the map, in screen pixels. */
export interface Room {
  left: number;
  top: number;
}

const MARGIN = 24; // screen pixels round the scene

/** A map without anything on it, once it can take layers. It never turns: north is up. */
export function bareMap(container: HTMLElement, options: Partial<MapOptions>): Promise<MapLibreMap> {
  const map = new MapLibreMap({
    container,
    style: {
      version: 8,
      sources: {},
      layers: [{ id: "ground", type: "background", paint: { "background-color": GROUND } }],
    },
    attributionControl: false,
    dragRotate: false,
    pitchWithRotate: false,
    maxZoom: 22,
    // An analyst passes over a whole city; the browser's own cache keeps what lies behind.
    maxTileCacheZoomLevels: 2,
    ...options,
  });
  map.touchZoomRotate.disableRotation();
  map.keyboard.disableRotation();
  return new Promise((resolve) => map.once("load", () => resolve(map)));
}

/** The map without imagery, with its controls, over all of a scene. */
export async function openMap(
  container: HTMLElement,
  bounds: Bounds | null,
  room: Room = { left: 0, top: 0 },
): Promise<MapLibreMap> {
  const padding = {
    left: MARGIN + room.left,
    top: MARGIN + room.top,
    right: MARGIN,
    bottom: MARGIN,
  };
  const whole = bounds ? { bounds: corners(bounds), fitBoundsOptions: { padding } } : {};
  const map = await bareMap(container, whole);
  map.addControl(new NavigationControl({ showCompass: false }), "top-right");
  map.addControl(new NorthArrow(), "bottom-left");
  map.addControl(new ScaleControl({ unit: "metric" }), "bottom-left");
  map.addControl(new AttributionControl({ compact: true, customAttribution: "" }), "bottom-right");
  reportTo(container, map);
  return map;
}

/** The map of a page that only shows a scene. */
export async function startMap(container: HTMLElement, { scene, bounds }: Imagery): Promise<MapLibreMap> {
  const map = await openMap(container, bounds);
  addImagery(map, "after", bounds, addressOf(scene, PLAIN));
  return map;
}

export const corners = ([west, south, east, north]: Bounds): LngLatBoundsLike => [
  [west, south],
  [east, north],
];

/** Says where north is; on a map that never turns that is all it has to do. */
class NorthArrow implements IControl {
  private readonly element = document.createElement("div");

  onAdd(): HTMLElement {
    this.element.className = "maplibregl-ctrl north";
    this.element.title = "North is up. The map does not turn.";
    this.element.setAttribute("role", "img");
    this.element.setAttribute("aria-label", "North is up");
    this.element.textContent = "N";
    return this.element;
  }

  onRemove(): void {
    this.element.remove();
  }
}

/** Until the map has drawn again, whoever asks is told to wait. */
export function sayBusy(container: HTMLElement): void {
  container.dataset["mapIdle"] = "false";
}

const untold = (container: HTMLElement): number => Number(container.dataset["mapUntold"] ?? 0);

/** The same; what it draws before the returned function is called does not count as all. */
export function sayUntold(container: HTMLElement): () => void {
  sayBusy(container);
  container.dataset["mapUntold"] = String(untold(container) + 1);
  return () => {
    container.dataset["mapUntold"] = String(untold(container) - 1);
  };
}

/** Says in attributes what is on the screen, for tests and for anyone who scripts the page. */
export function reportTo(container: HTMLElement, map: MapLibreMap): void {
  const view = (): void => {
    const { lng, lat } = map.getCenter();
    container.dataset["view"] = [lng, lat, map.getZoom()].join(",");
  };
  map.on("idle", () => {
    view();
    if (untold(container) === 0) container.dataset["mapIdle"] = "true";
  });
  for (const busy of ["movestart", "dataloading"] as const) {
    map.on(busy, () => sayBusy(container));
  }
  map.on("moveend", view);
}
