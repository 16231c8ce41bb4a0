/**
 * Square corners, as walls have them.
 *
 * The building's direction is the mean of its edges' directions, each weighed by its length and
 * taken four times over, so that edges at right angles agree. Each edge then runs along or across
 * that direction, whichever is nearer, on the line through its own middle; neighbours that run the
 * same way become one wall, steps shorter than half a metre go, and the corners are where the
 * remaining walls meet. What is round or slanted is refused: squared, it would be another shape.
 */
import type { Polygon } from "geojson";

import { areaM2, checkOutline, tidied } from "./outline";
import { closed, cornersOf, planeOf, type Point } from "./plane";

export type Shaped = { ok: true; outline: Polygon } | { ok: false; message: string };

const SHORTEST_WALL_M = 0.5; // a pixel of most images; shorter steps come from the pen, not from walls
const MOST_CHANGE = 0.15; // of the area
const SLANTED_DEGREES = 25; // more than a shaky hand, of 45 that are possible
const MOST_SLANTED = 0.25; // of the way round

interface Wall {
  /** Along the building's direction, or across it. */
  along: boolean;
  /** Where its line crosses the other axis, in metres. */
  at: number;
  length: number;
}

export function squared(polygon: Polygon): Shaped {
  const plane = planeOf(polygon);
  const corners = cornersOf(polygon).map(plane.flat);
  const turn = directionOf(corners);
  const level = corners.map((corner) => turned(corner, -turn));
  const walls = joined(wallsOf(level));
  if (walls.length < 4 || slantedShare(level) > MOST_SLANTED) return refused;
  const square = walls.map((wall, i) => {
    const before = walls.at(i - 1) as Wall;
    const corner: Point = wall.along ? [before.at, wall.at] : [wall.at, before.at];
    return plane.round(turned(corner, turn));
  });
  const outline = tidied(closed(square));
  const change = Math.abs(areaM2(outline) / areaM2(polygon) - 1);
  return checkOutline(outline).ok && change <= MOST_CHANGE ? { ok: true, outline } : refused;
}

const refused: Shaped = {
  ok: false,
  message: "This outline has no square corners to find. Move its corners by hand.",
};

/** In radians, between -45 and 45 degrees from east. */
function directionOf(corners: readonly Point[]): number {
  let [x, y] = [0, 0];
  corners.forEach(([ax, ay], i) => {
    const [bx, by] = corners[(i + 1) % corners.length] as Point;
    const angle = 4 * Math.atan2(by - ay, bx - ax);
    const length = Math.hypot(bx - ax, by - ay);
    x += length * Math.cos(angle);
    y += length * Math.sin(angle);
  });
  return Math.atan2(y, x) / 4;
}

/** How much of the way round runs neither along the building nor across it. */
function slantedShare(corners: readonly Point[]): number {
  let [slanted, all] = [0, 0];
  corners.forEach(([ax, ay], i) => {
    const [bx, by] = corners[(i + 1) % corners.length] as Point;
    const [width, height] = [Math.abs(bx - ax), Math.abs(by - ay)];
    const length = Math.hypot(width, height);
    const degrees = (Math.atan2(Math.min(width, height), Math.max(width, height)) * 180) / Math.PI;
    all += length;
    if (degrees > SLANTED_DEGREES) slanted += length;
  });
  return slanted / all;
}

const turned = ([x, y]: Point, angle: number): Point => [
  x * Math.cos(angle) - y * Math.sin(angle),
  x * Math.sin(angle) + y * Math.cos(angle),
];

function wallsOf(corners: readonly Point[]): Wall[] {
  return corners.map(([ax, ay], i) => {
    const [bx, by] = corners[(i + 1) % corners.length] as Point;
    const along = Math.abs(bx - ax) >= Math.abs(by - ay);
    return { along, at: along ? (ay + by) / 2 : (ax + bx) / 2, length: Math.hypot(bx - ax, by - ay) };
  });
}

/** Walls by turns along and across: neighbours of one kind become one, short steps go. */
function joined(walls: readonly Wall[]): Wall[] {
  const rest = [...walls];
  for (;;) {
    const same = rest.findIndex((wall, i) => wall.along === rest[(i + 1) % rest.length]?.along);
    if (same >= 0 && rest.length > 1) {
      const next = (same + 1) % rest.length;
      rest[same] = together(rest[same] as Wall, rest[next] as Wall);
      rest.splice(next, 1);
      continue;
    }
    const short = rest.findIndex(({ length }, i) => length < SHORTEST_WALL_M && isShortest(rest, i));
    if (short < 0 || rest.length <= 4) return rest;
    rest.splice(short, 1);
  }
}

const isShortest = (walls: readonly Wall[], i: number): boolean =>
  walls.every(({ length }) => length >= (walls[i] as Wall).length);

function together(a: Wall, b: Wall): Wall {
  const length = a.length + b.length;
  return { along: a.along, at: (a.at * a.length + b.at * b.length) / length, length };
}
