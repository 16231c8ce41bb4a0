/**
 * Of the buildings that changed since the page was opened, a map holds those round its view alone.
 * With each change MapLibre's worker cuts anew all that a source holds, and keeps it once for each
 * zoom and tile: holding them all, a day's decisions would cost ever more time and memory.
 */
import { boundsOf, type Bounds } from "../geo/outline";

export type Changed = GeoJSON.Feature<GeoJSON.Polygon, { uid: string }>;

/** What draws them. */
export interface Drawn {
  replace(all: Changed[]): void;
  add(one: Changed): void;
  remove(uid: string): void;
}

export interface Nearby {
  put(building: Changed): void;
  drop(uid: string): void;
  clear(): void;
  /** The view has moved. */
  moved(): void;
}

const ROUND = 1; // views held on each side of the one seen, so that most moves need nothing new
const TOO_MANY = 12; // views side by side; when so many are held, one has zoomed in

export function createNearby(drawn: Drawn, view: () => Bounds): Nearby {
  const all = new Map<string, Changed>();
  let held = widened(view());
  const isNear = ({ geometry }: Changed): boolean => touches(boundsOf(geometry), held);
  return {
    put(building) {
      const { uid } = building.properties;
      all.set(uid, building);
      if (isNear(building)) drawn.add(building);
      else drawn.remove(uid); // it may have been near before it was redrawn
    },
    drop(uid) {
      all.delete(uid);
      drawn.remove(uid);
    },
    clear() {
      all.clear();
      drawn.replace([]);
    },
    moved() {
      const seen = view();
      if (fits(seen, held)) return;
      held = widened(seen);
      if (all.size > 0) drawn.replace([...all.values()].filter(isNear));
    },
  };
}

function widened([west, south, east, north]: Bounds): Bounds {
  const [wide, high] = [ROUND * (east - west), ROUND * (north - south)];
  return [west - wide, south - high, east + wide, north + high];
}

const fits = (seen: Bounds, held: Bounds): boolean =>
  seen[0] >= held[0] && seen[1] >= held[1] && seen[2] <= held[2] && seen[3] <= held[3] &&
  held[2] - held[0] <= TOO_MANY * (seen[2] - seen[0]);

/** Also across 180 degrees, where a map counts on and outlines begin again. */
const touches = (one: Bounds, other: Bounds): boolean =>
  one[1] <= other[3] && one[3] >= other[1] &&
  [-360, 0, 360].some((turn) => one[0] + turn <= other[2] && one[2] + turn >= other[0]);
