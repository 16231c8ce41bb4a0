/** Cut an outline along a drawn line. The pieces share the cut to the last digit: no gap, no overlap. */
import type { Polygon, Position } from "geojson";

import { areaM2, tidied } from "./outline";
import { closed, contains, cornersOf } from "./plane";

export type Pieces = { ok: true; pieces: Polygon[] } | { ok: false; message: string };

const SMALLEST_M2 = 2; // as the server has it: a shed

/** A place where the line crosses the outline. */
interface Crossing {
  place: Position;
  /** Which stretch of the line, and how far along it, in [0, 1]. */
  on: number;
}

export function split(polygon: Polygon, line: readonly Position[]): Pieces {
  const crossings = crossingsOf(cornersOf(polygon), line);
  let rings = [cornersOf(polygon)];
  for (let i = 0; i + 1 < crossings.length; i++) {
    const cut = stretch(line, crossings[i] as Crossing, crossings[i + 1] as Crossing);
    if (!contains(polygon, middleOf(cut))) continue;
    rings = rings.flatMap((ring) => cutAlong(ring, cut) ?? [ring]);
  }
  const pieces = rings.map((ring) => tidied(closed(ring)));
  if (pieces.length < 2) {
    return refuse("The line does not cut the building. Draw it right across, from outside to outside.");
  }
  if (pieces.some((piece) => areaM2(piece) < SMALLEST_M2)) {
    return refuse("One piece would be smaller than 2 m². Draw the line elsewhere.");
  }
  return { ok: true, pieces: pieces.sort((a, b) => areaM2(b) - areaM2(a)) };
}

const refuse = (message: string): Pieces => ({ ok: false, message });

function crossingsOf(ring: readonly Position[], line: readonly Position[]): Crossing[] {
  const found: Crossing[] = [];
  line.slice(1).forEach((end, stretch) => {
    const start = line[stretch] as Position;
    ring.forEach((corner, i) => {
      const at = crossing(start, end, corner, ring[(i + 1) % ring.length] as Position);
      if (at !== null) found.push({ place: along(start, end, at), on: stretch + at });
    });
  });
  return found
    .sort((a, b) => a.on - b.on)
    .filter(({ place }, i) => i === 0 || !same(place, (found[i - 1] as Crossing).place));
}

/** How far along `a`-`b` it meets `c`-`d`; a corner counts for the edge that begins there. */
function crossing([ax = 0, ay = 0]: Position, [bx = 0, by = 0]: Position,
  [cx = 0, cy = 0]: Position, [dx = 0, dy = 0]: Position): number | null {
  const [rx, ry, sx, sy] = [bx - ax, by - ay, dx - cx, dy - cy];
  const cross = rx * sy - ry * sx;
  if (cross === 0) return null;
  const t = ((cx - ax) * sy - (cy - ay) * sx) / cross;
  const u = ((cx - ax) * ry - (cy - ay) * rx) / cross;
  return t >= 0 && t <= 1 && u >= 0 && u < 1 ? t : null;
}

/** The line from one crossing to the other, with the corners of the line between them. */
function stretch(line: readonly Position[], from: Crossing, to: Crossing): Position[] {
  const between = line.filter((_, i) => i > from.on && i < to.on);
  return [from.place, ...between, to.place];
}

/** The two rings that a cut makes of one; null where it does not begin and end on this ring. */
function cutAlong(ring: readonly Position[], cut: readonly Position[]): [Position[], Position[]] | null {
  const first = cut[0] as Position;
  const last = cut.at(-1) as Position;
  const withFirst = inserted(ring, first);
  const whole = withFirst && inserted(withFirst, last);
  if (!whole) return null;
  const start = whole.findIndex((corner) => same(corner, first));
  const turned = [...whole.slice(start), ...whole.slice(0, start)];
  const end = turned.findIndex((corner) => same(corner, last));
  if (end <= 0) return null;
  const inner = cut.slice(1, -1);
  return [
    [...turned.slice(0, end + 1), ...[...inner].reverse()],
    [...turned.slice(end), first, ...inner],
  ];
}

/** The ring with a corner at a place on its edge; null where no edge goes through it. */
function inserted(ring: readonly Position[], place: Position): Position[] | null {
  if (ring.some((corner) => same(corner, place))) return [...ring];
  const edge = ring.findIndex((a, i) => isOn(a, ring[(i + 1) % ring.length] as Position, place));
  return edge < 0 ? null : [...ring.slice(0, edge + 1), place, ...ring.slice(edge + 1)];
}

const NEAR_DEGREES = 1e-9; // a tenth of a millimetre: rounding, not distance

const same = ([ax = 0, ay = 0]: Position, [bx = 0, by = 0]: Position): boolean =>
  Math.abs(ax - bx) < NEAR_DEGREES && Math.abs(ay - by) < NEAR_DEGREES;

function isOn([ax = 0, ay = 0]: Position, [bx = 0, by = 0]: Position, [px = 0, py = 0]: Position): boolean {
  const length = Math.hypot(bx - ax, by - ay);
  const beside = Math.abs((bx - ax) * (py - ay) - (by - ay) * (px - ax)) / length;
  const at = ((px - ax) * (bx - ax) + (py - ay) * (by - ay)) / (length * length);
  return beside < NEAR_DEGREES && at > 0 && at < 1;
}

const along = ([ax = 0, ay = 0]: Position, [bx = 0, by = 0]: Position, share: number): Position => [
  ax + share * (bx - ax),
  ay + share * (by - ay),
];

/** A place half-way along the middle stretch. */
function middleOf(line: readonly Position[]): Position {
  const at = Math.floor((line.length - 2) / 2);
  return along(line[at] as Position, line[at + 1] as Position, 0.5);
}
