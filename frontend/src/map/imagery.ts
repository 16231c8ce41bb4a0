/** The pixels of one scene on a map, below everything else. */
import type { Map as MapLibreMap } from "maplibre-gl";

import type { Bounds } from "../geo/outline";

const PREFIX = "imagery-";

export interface ImageryLayer {
  /** Show the tiles of another address; what is there stays until they have come. */
  show(address: string): void;
  /** 0 to 1. At 0 it goes on loading, so that it can be shown at once. */
  fade(opacity: number): void;
}

/** Add it above imagery that is there already. Asks for nothing outside of `bounds`. */
export function addImagery(
  map: MapLibreMap,
  name: string,
  bounds: Bounds | null,
  address: string,
): ImageryLayer {
  let opacity = 1;
  let round = 0;
  let current = "";
  let now = address;
  const live = new Set<string>();

  const add = (above: string | undefined): void => {
    const id = `${PREFIX}${name}-${round++}`;
    const limits = bounds ? { bounds: [...bounds] as [number, number, number, number] } : {};
    map.addSource(id, { type: "raster", tiles: [now], tileSize: 256, maxzoom: 22, ...limits });
    map.addLayer(
      {
        id,
        type: "raster",
        source: id,
        paint: {
          "raster-fade-duration": 0,
          "raster-resampling": "nearest",
          "raster-opacity": opacity,
          "raster-opacity-transition": { duration: 0 },
        },
      },
      above,
    );
    live.add(id);
    current = id;
  };
  const remove = (id: string): void => {
    live.delete(id);
    map.removeLayer(id);
    map.removeSource(id);
  };

  add(firstOfTheRest(map));
  return {
    show(next) {
      if (next === now) return;
      now = next;
      const old = current;
      add(after(map, old));
      map.once("idle", () => remove(old));
    },
    fade(share) {
      opacity = share;
      for (const id of live) map.setPaintProperty(id, "raster-opacity", share);
    },
  };
}

/** The lowest layer that is neither ground nor imagery. */
const firstOfTheRest = (map: MapLibreMap): string | undefined =>
  map.getLayersOrder().find((id) => id !== "ground" && !id.startsWith(PREFIX));

function after(map: MapLibreMap, id: string): string | undefined {
  const order = map.getLayersOrder();
  return order[order.indexOf(id) + 1];
}
