/** A map with nothing on it but the imagery of a scene. Nothing is asked of any other host. */
import {
  AttributionControl,
  Map as MapLibreMap,
  NavigationControl,
  ScaleControl,
  setWorkerUrl,
  type LngLatBoundsLike,
} from "maplibre-gl";
import workerUrl from "maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url";
import "maplibre-gl/dist/maplibre-gl.css";

import type { Bounds } from "../geo/outline";

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

/** The map, once it can take layers. */
export function startMap(
  container: HTMLElement,
  imagery: Imagery,
  room: Room = { left: 0, top: 0 },
): Promise<MapLibreMap> {
  const padding = {
    left: MARGIN + room.left,
    top: MARGIN + room.top,
    right: MARGIN,
    bottom: MARGIN,
  };
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
    ...(imagery.bounds ? { bounds: corners(imagery.bounds), fitBoundsOptions: { padding } } : {}),
  });
  map.touchZoomRotate.disableRotation();
  map.addControl(new NavigationControl({ showCompass: false }), "top-right");
  map.addControl(new ScaleControl({ unit: "metric" }), "bottom-left");
  map.addControl(new AttributionControl({ compact: true, customAttribution: "" }), "bottom-right");
  reportTo(container, map);
  return new Promise((resolve) => {
    map.once("load", () => {
      addImagery(map, "after", imagery);
      resolve(map);
    });
  });
}

/** The scene's pixels as tiles, below everything else. */
export function addImagery(map: MapLibreMap, name: string, { scene, bounds }: Imagery): void {
  const source = `imagery-${name}`;
  map.addSource(source, {
    type: "raster",
    tiles: [`${location.origin}/api/v1/tiles/scenes/${scene}/{z}/{x}/{y}.webp`],
    tileSize: 256,
    maxzoom: 22,
    ...(bounds ? { bounds: [...bounds] } : {}),
  });
  map.addLayer({
    id: source,
    type: "raster",
    source,
    paint: { "raster-fade-duration": 0, "raster-resampling": "nearest" },
  });
}

const corners = ([west, south, east, north]: Bounds): LngLatBoundsLike => [
  [west, south],
  [east, north],
];

/** Says in attributes what is on the screen, for tests and for anyone who scripts the page. */
function reportTo(container: HTMLElement, map: MapLibreMap): void {
  const view = (): void => {
    const { lng, lat } = map.getCenter();
    container.dataset["view"] = [lng, lat, map.getZoom()].join(",");
  };
  map.on("idle", () => {
    view();
    container.dataset["mapIdle"] = "true";
  });
  for (const busy of ["movestart", "dataloading"] as const) {
    map.on(busy, () => {
      container.dataset["mapIdle"] = "false";
    });
  }
  map.on("moveend", view);
}
