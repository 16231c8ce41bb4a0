/** Degrees as metres round one place, and back: flat, good to a centimetre over a few hundred metres. */
import type { Polygon, Position } from "geojson";

const EQUATOR_RADIUS_M = 6_378_137;
const ECCENTRICITY_SQUARED = 0.00669438; // of the WGS 84 ellipsoid
const RADIAN = Math.PI / 180;

/** East and north of the origin, in metres. */
export type Point = readonly [number, number];

export interface Plane {
  flat(place: Position): Point;
  round(point: Point): Position;
}

/** Metres for one degree of longitude and of latitude. */
export function metresPerDegree(latitude: number): Point {
  const bend = 1 - ECCENTRICITY_SQUARED * Math.sin(latitude * RADIAN) ** 2;
  return [
    (EQUATOR_RADIUS_M * Math.cos(latitude * RADIAN) * RADIAN) / Math.sqrt(bend),
    (EQUATOR_RADIUS_M * (1 - ECCENTRICITY_SQUARED) * RADIAN) / bend ** 1.5,
  ];
}

/** The plane whose origin is the first corner of an outline. */
export function planeOf(polygon: Polygon): Plane {
  const [x0 = 0, y0 = 0] = polygon.coordinates[0]?.[0] ?? [];
  const [east, north] = metresPerDegree(y0);
  return {
    flat: ([x = 0, y = 0]) => [(x - x0) * east, (y - y0) * north],
    round: ([x, y]) => [x0 + x / east, y0 + y / north],
  };
}

/** The corners of the outer ring, the first one not repeated. */
export const cornersOf = (polygon: Polygon): Position[] => (polygon.coordinates[0] ?? []).slice(0, -1);

/** A ring of corners, closed. */
export const closed = (corners: readonly Position[]): Polygon => ({
  type: "Polygon",
  coordinates: [[...corners, ...corners.slice(0, 1)]],
});

/** Moved by metres to the east and north. */
export function moved(polygon: Polygon, [east, north]: Point): Polygon {
  const [, y0 = 0] = polygon.coordinates[0]?.[0] ?? [];
  const [perX, perY] = metresPerDegree(y0);
  const ring = polygon.coordinates[0] ?? [];
  return { type: "Polygon", coordinates: [ring.map(([x = 0, y = 0]) => [x + east / perX, y + north / perY])] };
}

/** Nearest point to `p` on the stretch from `a` to `b`. */
export function nearestOn(a: Point, b: Point, p: Point): Point {
  const [dx, dy] = [b[0] - a[0], b[1] - a[1]];
  const length = dx * dx + dy * dy;
  const share = length === 0 ? 0 : ((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / length;
  const at = Math.min(1, Math.max(0, share));
  return [a[0] + at * dx, a[1] + at * dy];
}

export const apart = (a: Point, b: Point): number => Math.hypot(a[0] - b[0], a[1] - b[1]);

/** Whether a place lies inside an outline (even-odd; on the edge either answer may come). */
export function contains(polygon: Polygon, [x = 0, y = 0]: Position): boolean {
  const ring = polygon.coordinates[0] ?? [];
  return ring.slice(1).reduce((inside, [bx = 0, by = 0], i) => {
    const [ax = 0, ay = 0] = ring[i] ?? [];
    const between = ay > y !== by > y;
    return between && x < ax + ((y - ay) / (by - ay)) * (bx - ax) ? !inside : inside;
  }, false);
}

/** Centre of gravity: what decides whether a building belongs to an area, here and on the server. */
export function centroidOf(polygon: Polygon): Position {
  const corners = cornersOf(polygon);
  const [ox = 0, oy = 0] = corners[0] ?? [];
  let [area, cx, cy] = [0, 0, 0];
  corners.forEach(([ax = 0, ay = 0], i) => {
    const [bx = 0, by = 0] = corners[(i + 1) % corners.length] ?? [];
    const part = (ax - ox) * (by - oy) - (bx - ox) * (ay - oy);
    area += part;
    cx += part * (ax + bx - 2 * ox);
    cy += part * (ay + by - 2 * oy);
  });
  return area === 0 ? [ox, oy] : [ox + cx / (3 * area), oy + cy / (3 * area)];
}
