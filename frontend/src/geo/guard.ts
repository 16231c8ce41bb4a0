/** What the server will refuse, said at once. The server decides: it knows all the neighbours. */
import type { Polygon } from "geojson";
import { intersection, type Geom } from "polyclip-ts";

import { areaM2, boundsOf, checkOutline, type Bounds, type Check } from "./outline";
import { apart, cornersOf, planeOf, type Point } from "./plane";

const SMALLEST_M2 = 2;
const LEAST_MEAN_WIDTH_M = 0.6;
const MOST_OVERLAP = 0.1; // of the smaller one
const WORSE = 1.05; // an overlap that was there before may stay
const BESIDE_SCENE_DEGREES = 0.0005; // a roof may lean over the image's edge

export interface Around {
  /** Outlines of the other buildings that stand near by. */
  neighbours: readonly Polygon[];
  /** What the outline replaces. */
  before: readonly Polygon[];
  /** Of the image; null where they are not known. */
  image: Bounds | null;
}

/** Whether a building's outline can be saved beside what stands; if not, a sentence to show. */
export function checkBuilding(outline: Polygon, { neighbours, before, image }: Around): Check {
  const check = checkOutline(outline);
  if (!check.ok) return check;
  const area = areaM2(outline);
  if (area < SMALLEST_M2) return refuse("The outline is too small for a building.");
  if ((2 * area) / aroundM(outline) < LEAST_MEAN_WIDTH_M) {
    return refuse("The outline is too thin for a building: on average it must be at least 0.6 m wide.");
  }
  if (image && !inside(boundsOf(outline), image)) {
    return refuse("The outline reaches beyond the image. Draw it inside.");
  }
  const over = neighbours.filter((other) => overlapsToo(outline, other, before)).length;
  if (over === 0) return { ok: true };
  const which = over === 1 ? "another building" : `${over} other buildings`;
  return refuse(
    `The outline lies over ${which}. Buildings may touch, not overlap: move a corner, or merge them.`,
  );
}

const refuse = (message: string): Check => ({ ok: false, message });

function overlapsToo(outline: Polygon, other: Polygon, before: readonly Polygon[]): boolean {
  const common = commonM2(outline, other);
  const most = MOST_OVERLAP * Math.min(areaM2(outline), areaM2(other));
  if (common <= most) return false;
  return common > WORSE * before.reduce((sum, one) => sum + commonM2(one, other), 0);
}

/** The area that two outlines share, in square metres. */
export function commonM2(one: Polygon, other: Polygon): number {
  if (!touch(boundsOf(one), boundsOf(other))) return 0;
  const parts = intersection(geom(one), geom(other));
  return parts.reduce((sum, [ring]) => sum + areaM2({ type: "Polygon", coordinates: [ring ?? []] }), 0);
}

const geom = (polygon: Polygon): Geom => [polygon.coordinates] as unknown as Geom;

function aroundM(polygon: Polygon): number {
  const plane = planeOf(polygon);
  const corners = cornersOf(polygon).map(plane.flat);
  return corners.reduce((sum, a, i) => sum + apart(a, corners[(i + 1) % corners.length] as Point), 0);
}

const touch = (a: Bounds, b: Bounds): boolean => a[0] <= b[2] && b[0] <= a[2] && a[1] <= b[3] && b[1] <= a[3];

const inside = (inner: Bounds, [west, south, east, north]: Bounds): boolean =>
  inner[0] >= west - BESIDE_SCENE_DEGREES && inner[1] >= south - BESIDE_SCENE_DEGREES &&
  inner[2] <= east + BESIDE_SCENE_DEGREES && inner[3] <= north + BESIDE_SCENE_DEGREES;
