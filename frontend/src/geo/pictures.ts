/** Outlines as small pictures: SVG paths, north up, in one scale. */
import type { Polygon } from "geojson";

import { boundsOf } from "./outline";

const MARGIN = 0.08; // of the side, left free round the outlines

/** One SVG path for each outline, all fitted together into a square of `side` pixels. */
export function pathsOf(outlines: readonly Polygon[], side: number): string[] {
  const all = outlines.map(boundsOf);
  const [west, south] = [Math.min(...all.map((b) => b[0])), Math.min(...all.map((b) => b[1]))];
  const [east, north] = [Math.max(...all.map((b) => b[2])), Math.max(...all.map((b) => b[3]))];
  const narrow = Math.cos((((south + north) / 2) * Math.PI) / 180); // a degree of longitude is shorter
  const largest = Math.max((east - west) * narrow, north - south) || 1;
  const scale = (side * (1 - 2 * MARGIN)) / largest;
  const place = ([x = 0, y = 0]: readonly number[]): string => {
    const right = side / 2 + (x - (west + east) / 2) * narrow * scale;
    const down = side / 2 - (y - (south + north) / 2) * scale;
    return `${right.toFixed(1)} ${down.toFixed(1)}`;
  };
  return outlines.map(({ coordinates }) =>
    coordinates.map((ring) => `M${ring.map(place).join("L")}Z`).join(""),
  );
}

/** Whether two outlines have the same corners in the same order. */
export const sameOutline = (one: Polygon, other: Polygon): boolean =>
  JSON.stringify(one.coordinates) === JSON.stringify(other.coordinates);
