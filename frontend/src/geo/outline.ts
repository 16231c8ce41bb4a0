/** Outlines of buildings and areas. Coordinates are [longitude, latitude], WGS 84 degrees. */
import type { Polygon, Position } from "geojson";

export type Check = { ok: true } | { ok: false; message: string };

/** West, south, east, north. */
export type Bounds = readonly [number, number, number, number];

const EARTH_RADIUS_M = 6_371_008.8;

/** Whether an analyst's outline can be saved; if not, a sentence to show beside it. */
export function checkOutline(polygon: Polygon): Check {
  const ring = polygon.coordinates[0];
  if (!ring || ring.length < 4) return refuse("Draw at least three corners.");
  if (!samePlace(ring[0], ring.at(-1))) return refuse("Close the outline.");
  if (crossesItself(ring)) return refuse("The outline crosses itself. Move a corner.");
  return { ok: true };
}

/** One ring, counter-clockwise, closed, 7 decimals (about a centimetre): what the server stores. */
export function tidied(polygon: Polygon): Polygon {
  const ring = (polygon.coordinates[0] ?? []).map(([x = 0, y = 0]) => [round7(x), round7(y)]);
  return { type: "Polygon", coordinates: [signedArea(ring) < 0 ? ring.reverse() : ring] };
}

export function boundsOf(polygon: Polygon): Bounds {
  const ring = polygon.coordinates[0] ?? [];
  const xs = ring.map(([x = 0]) => x);
  const ys = ring.map(([, y = 0]) => y);
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

/** The middle of the outline's bounds, in degrees. */
export function centreOf(polygon: Polygon): [number, number] {
  const [west, south, east, north] = boundsOf(polygon);
  return [(west + east) / 2, (south + north) / 2];
}

/** Area in square metres on a sphere, good to about 0.5 %: for display only. */
export function areaM2(polygon: Polygon): number {
  const ring = polygon.coordinates[0] ?? [];
  const latitude = radians(centreOf(polygon)[1]);
  const scale = radians(1) * EARTH_RADIUS_M;
  return Math.abs(signedArea(ring)) * scale * scale * Math.cos(latitude);
}

/** Distance in metres between two nearby places; flat-earth, for ordering only. */
export function distanceM(a: Position, b: Position): number {
  const [ax = 0, ay = 0] = a;
  const [bx = 0, by = 0] = b;
  const scale = radians(1) * EARTH_RADIUS_M;
  return Math.hypot((bx - ax) * Math.cos(radians((ay + by) / 2)), by - ay) * scale;
}

const refuse = (message: string): Check => ({ ok: false, message });
const radians = (degrees: number): number => (degrees * Math.PI) / 180;
const round7 = (degrees: number): number => Math.round(degrees * 1e7) / 1e7;
const samePlace = (a?: Position, b?: Position): boolean => a?.[0] === b?.[0] && a?.[1] === b?.[1];

/** Shoelace area in square degrees; positive when counter-clockwise. */
function signedArea(ring: readonly Position[]): number {
  const [originX = 0, originY = 0] = ring[0] ?? [];
  return ring.slice(1).reduce((sum, [x = 0, y = 0], i) => {
    const [px = 0, py = 0] = ring[i] ?? [];
    return sum + ((px - originX) * (y - originY) - (x - originX) * (py - originY)) / 2;
  }, 0);
}

function crossesItself(ring: readonly Position[]): boolean {
  const edges = ring.slice(1).map((end, i) => [ring[i] as Position, end] as const);
  return edges.some(([a, b], i) =>
    edges.slice(i + 2).some(([c, d]) => !samePlace(a, d) && cross(a, b, c, d)),
  );
}

function cross(a: Position, b: Position, c: Position, d: Position): boolean {
  return side(a, b, c) !== side(a, b, d) && side(c, d, a) !== side(c, d, b);
}

/** 1 if `p` lies left of the line from `a` to `b`, -1 if right, 0 if on it. */
function side(a: Position, b: Position, p: Position): number {
  const [ax = 0, ay = 0] = a;
  const [bx = 0, by = 0] = b;
  const [px = 0, py = 0] = p;
  return Math.sign((bx - ax) * (py - ay) - (by - ay) * (px - ax));
}
