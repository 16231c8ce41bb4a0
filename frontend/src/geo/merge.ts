/**
 * One outline of several that touch, or nearly so.
 *
 * Corners within half a metre of the other outline are put onto it, so that walls drawn twice are
 * one. What then still lies apart, by at most three metres, is joined by the hull of the corners
 * that face each other, or by the hull of all where none do. The analyst sees it before it is saved.
 */
import type { Polygon, Position } from "geojson";
import { union, type Geom } from "polyclip-ts";

import { areaM2, tidied } from "./outline";
import { apart, closed, cornersOf, nearestOn, planeOf, type Plane, type Point } from "./plane";
import type { Shaped } from "./square";

export const MOST_GAP_M = 3; // as the server has it: what a shadow hides, but no alley
const SNAP_M = 0.5;
const FACING = 1.5; // corners up to this many times the gap away face the other outline

export function merged(parts: readonly Polygon[]): Shaped {
  const [first, ...others] = parts;
  if (!first) return { ok: false, message: "Choose the buildings to merge." };
  let whole = first;
  const rest = [...others];
  while (rest.length) {
    const gaps = rest.map((part) => gapM(whole, part));
    const gap = Math.min(...gaps);
    if (gap > MOST_GAP_M) return { ok: false, message: tooFar(gap) };
    const [nearest] = rest.splice(gaps.indexOf(gap), 1);
    whole = joined(whole, nearest as Polygon, gap);
  }
  return { ok: true, outline: tidied(whole) };
}

const tooFar = (gap: number): string =>
  `These buildings lie ${gap.toFixed(1)} m apart, so they are not one. ` +
  `Merge only parts that touch or lie at most ${MOST_GAP_M} m apart.`;

/** The shortest way between two outlines, in metres; 0 where they touch or overlap. */
export function gapM(one: Polygon, other: Polygon): number {
  if (union(rings(one), rings(other)).length === 1) return 0;
  const plane = planeOf(one);
  return Math.min(...reach(one, other, plane), ...reach(other, one, plane));
}

function joined(one: Polygon, other: Polygon, gap: number): Polygon {
  const snapped = snappedTo(other, one);
  const touching = union(rings(one), rings(snapped));
  if (touching.length === 1) return largest(touching);
  const plane = planeOf(one);
  const near = FACING * gap;
  const bridge = hull([...facing(one, snapped, near, plane), ...facing(snapped, one, near, plane)]);
  if (bridge.length >= 3) {
    const bridged = union(rings(one), rings(snapped), rings(closed(bridge)));
    if (bridged.length === 1) return largest(bridged);
  }
  return closed(hull([...cornersOf(one), ...cornersOf(snapped)]));
}

/** How far each corner of `from` is from the edges of `to`, in metres. */
const reach = (from: Polygon, to: Polygon, plane: Plane): number[] =>
  cornersOf(from).map((corner) => apart(plane.flat(corner), nearest(to, plane.flat(corner), plane)));

/** Corners of `from` that lie near the edges of `to`, each with the place on these that it faces. */
function facing(from: Polygon, to: Polygon, near: number, plane: Plane): Position[] {
  return cornersOf(from).flatMap((corner) => {
    const there = nearest(to, plane.flat(corner), plane);
    return apart(plane.flat(corner), there) < near ? [corner, plane.round(there)] : [];
  });
}

function snappedTo(polygon: Polygon, to: Polygon): Polygon {
  const plane = planeOf(to);
  const corners = cornersOf(polygon).map((corner) => {
    const there = nearest(to, plane.flat(corner), plane);
    return apart(plane.flat(corner), there) <= SNAP_M ? plane.round(there) : corner;
  });
  const snapped = closed(corners);
  return areaM2(snapped) > 0.8 * areaM2(polygon) ? snapped : polygon;
}

/** The nearest point of an outline's edges; a corner as near as the edge goes first. */
function nearest(polygon: Polygon, point: Point, plane: Plane): Point {
  const corners = cornersOf(polygon).map(plane.flat);
  const candidates = corners.map((a, i) => nearestOn(a, corners[(i + 1) % corners.length] as Point, point));
  return candidates.reduce((best, one) => (apart(one, point) < apart(best, point) ? one : best));
}

/** Convex hull, counter-clockwise: the ring of the outermost corners (Andrew's two chains). */
export function hull(corners: readonly Position[]): Position[] {
  const sorted = [...corners].sort(([ax = 0, ay = 0], [bx = 0, by = 0]) => ax - bx || ay - by);
  const chain = (places: readonly Position[]): Position[] => {
    const kept: Position[] = [];
    for (const place of places) {
      while (kept.length > 1 && !leftTurn(kept.at(-2) as Position, kept.at(-1) as Position, place)) kept.pop();
      kept.push(place);
    }
    return kept.slice(0, -1);
  };
  return [...chain(sorted), ...chain([...sorted].reverse())];
}

const leftTurn = ([ax = 0, ay = 0]: Position, [bx = 0, by = 0]: Position, [cx = 0, cy = 0]: Position): boolean =>
  (bx - ax) * (cy - ay) - (by - ay) * (cx - ax) > 0;

/** As polyclip takes a polygon. */
const rings = (polygon: Polygon): Geom => [polygon.coordinates] as unknown as Geom;

/** The outer ring of the largest part; a courtyard that arose belongs to the building. */
function largest(parts: readonly (readonly (readonly [number, number][])[])[]): Polygon {
  const outlines = parts.map(([outer]) => closed((outer ?? []).slice(0, -1).map(([x, y]) => [x, y])));
  return outlines.reduce((best, one) => (areaM2(one) > areaM2(best) ? one : best));
}
