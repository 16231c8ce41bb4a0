/** Squaring, splitting, merging and the guard, on houses in metres near 35 degrees north. */
import type { Polygon, Position } from "geojson";
import { describe, expect, it } from "vitest";

import { checkBuilding, commonM2, type Around } from "./guard";
import { gapM, merged } from "./merge";
import { areaM2, checkOutline } from "./outline";
import { centroidOf, closed, contains, cornersOf, metresPerDegree, moved, planeOf } from "./plane";
import { split } from "./split";
import { squared } from "./square";

const [EAST, NORTH] = metresPerDegree(35);
/** A place, in metres from one corner of the world. */
const at = ([x, y]: readonly number[]): Position => [33 + (x ?? 0) / EAST, 35 + (y ?? 0) / NORTH];
const house = (...corners: (readonly [number, number])[]): Polygon => closed(corners.map(at));
const box = (west: number, south: number, east: number, north: number): Polygon =>
  house([west, south], [east, south], [east, north], [west, north]);

/** The angles at an outline's corners, in degrees. */
function angles(polygon: Polygon): number[] {
  const plane = planeOf(polygon);
  const corners = cornersOf(polygon).map(plane.flat);
  return corners.map(([x, y], i) => {
    const [ax, ay] = corners[(i + corners.length - 1) % corners.length] ?? [0, 0];
    const [bx, by] = corners[(i + 1) % corners.length] ?? [0, 0];
    const turn = Math.atan2(ay - y, ax - x) - Math.atan2(by - y, bx - x);
    return Math.round(((turn * 180) / Math.PI + 360) % 180);
  });
}

const turnedBy = (degrees: number, corners: readonly (readonly [number, number])[]): Polygon => {
  const [sin, cos] = [Math.sin((degrees * Math.PI) / 180), Math.cos((degrees * Math.PI) / 180)];
  return house(...corners.map(([x, y]) => [x * cos - y * sin, x * sin + y * cos] as const));
};

const outlineOf = (shaped: ReturnType<typeof squared>): Polygon => {
  if (!shaped.ok) throw new Error(shaped.message);
  return shaped.outline;
};

describe("squaring", () => {
  const shaky = [[0, 0], [12.3, -0.4], [12, 8.2], [5.8, 7.7], [6.2, 14], [-0.3, 14.3]] as const;

  it.each([0, 17, 44, 80, 133])("makes right angles of an L turned by %i degrees", (degrees) => {
    const drawn = turnedBy(degrees, shaky);

    const square = outlineOf(squared(drawn));

    expect(angles(square)).toEqual(Array(6).fill(90));
    expect(areaM2(square) / areaM2(drawn)).toBeCloseTo(1, 1);
    expect(commonM2(square, drawn) / areaM2(drawn)).toBeGreaterThan(0.95);
  });

  it("leaves what is square as it is", () => {
    const square = outlineOf(squared(box(0, 0, 10, 6)));

    expect(commonM2(square, box(0, 0, 10, 6)) / 60).toBeCloseTo(1, 2);
    expect(outlineOf(squared(square))).toEqual(square);
  });

  it("joins a wall that was drawn in two, and drops steps that no wall has", () => {
    const drawn = house([0, 0], [5, 0.1], [10, 0], [10, 6], [5.2, 6], [5.2, 6.2], [0, 6.2]);

    expect(cornersOf(outlineOf(squared(drawn)))).toHaveLength(4);
  });

  it("refuses a round tank and a slanted roof, with a sentence", () => {
    const tank = Array.from({ length: 24 }, (_, i) => [
      10 * Math.cos((i * Math.PI) / 12), 10 * Math.sin((i * Math.PI) / 12),
    ] as const);
    for (const outline of [house(...tank), house([0, 0], [20, 0], [0, 20])]) {
      expect(squared(outline)).toMatchObject({ ok: false, message: expect.stringMatching(/\.$/) });
    }
  });
});

describe("splitting", () => {
  const whole = box(0, 0, 20, 10);

  it("cuts along a straight or a bent line, and loses nothing", () => {
    const lines = [[[8, -3], [8, 13]], [[8, -3], [8, 5], [12, 5], [12, 13]]];
    for (const line of lines) {
      const cut = split(whole, line.map(at));
      if (!cut.ok) throw new Error(cut.message);
      const [one, other] = cut.pieces as [Polygon, Polygon];
      expect(cut.pieces).toHaveLength(2);
      expect(areaM2(one) + areaM2(other)).toBeCloseTo(areaM2(whole), 0);
      expect(commonM2(one, other)).toBeLessThan(0.1);
      expect(cut.pieces.every((piece) => checkOutline(piece).ok)).toBe(true);
    }
  });

  it("cuts only where the line goes through: both arms of a U, or the one that it crosses", () => {
    const u = house([0, 0], [20, 0], [20, 20], [14, 20], [14, 6], [6, 6], [6, 20], [0, 20]);

    expect(split(u, [[-2, 12], [22, 12]].map(at))).toMatchObject({ pieces: { length: 3 } });
    expect(split(u, [[-2, 12], [10, 12]].map(at))).toMatchObject({ pieces: { length: 2 } });
  });

  it("goes through corners", () => {
    const cut = split(whole, [[-5, -2.5], [25, 12.5]].map(at));

    expect(cut).toMatchObject({ ok: true, pieces: { length: 2 } });
  });

  it("refuses a line that ends inside or beside, and crumbs", () => {
    for (const line of [[[8, -3], [8, 5]], [[8, -3], [9, -1]], [[0.1, -3], [0.1, 13]]]) {
      expect(split(whole, line.map(at))).toMatchObject({ ok: false, message: expect.stringMatching(/\.$/) });
    }
  });
});

describe("merging", () => {
  it("is the union of what touches or overlaps", () => {
    const l = outlineOf(merged([box(0, 0, 10, 10), box(10, 0, 16, 5)]));

    expect(areaM2(l)).toBeCloseTo(130, 0);
    expect(areaM2(outlineOf(merged([box(0, 0, 10, 10), box(8, 0, 16, 10)])))).toBeCloseTo(160, 0);
  });

  it("makes one wall of two that were drawn side by side", () => {
    const whole = outlineOf(merged([box(0, 0, 10, 10), box(10.3, 0, 16, 10)]));

    expect(areaM2(whole)).toBeCloseTo(160, -0.5);
    expect(cornersOf(whole).length).toBeLessThanOrEqual(8);
  });

  it("bridges a small gap between facing walls, and no more than that", () => {
    const whole = outlineOf(merged([box(0, 0, 10, 10), box(12, 0, 16, 10), box(0, 11, 10, 14)]));

    expect(areaM2(whole)).toBeCloseTo(100 + 20 + 40 + 10 + 30, -0.5);
  });

  it("refuses buildings that lie far apart, in metres", () => {
    expect(gapM(box(0, 0, 10, 10), box(14.5, 0, 20, 10))).toBeCloseTo(4.5, 1);
    const shaped = merged([box(0, 0, 10, 10), box(14.5, 0, 20, 10)]);
    expect(shaped).toMatchObject({ ok: false, message: expect.stringContaining("4.5 m") });
  });
});

describe("the guard", () => {
  const around: Around = { neighbours: [box(10, 0, 20, 10)], before: [], image: null };
  const says = (outline: Polygon, more: Partial<Around> = {}): string => {
    const check = checkBuilding(outline, { ...around, ...more });
    return check.ok ? "" : check.message;
  };

  it("lets neighbours touch and hardly overlap", () => {
    expect(says(box(0, 0, 10, 10))).toBe("");
    expect(says(box(0, 0, 10.5, 10))).toBe("");
  });

  it("says what is wrong", () => {
    expect(says(box(0, 0, 12, 10))).toContain("lies over another building");
    expect(says(box(5, 0, 5.4, 30), { neighbours: [] })).toContain("too thin");
    expect(says(box(0, 0, 1, 1))).toContain("too small");
    expect(says(house([0, 0], [9, 9], [9, 0], [0, 9]))).toContain("crosses itself");
    expect(says(box(0, 0, 9, 9), { image: [34, 35, 35, 36] })).toContain("beyond the image");
  });

  it("lets an overlap stay that was there before, and not grow", () => {
    const before = [box(0, 0, 14, 10)];
    expect(says(moved(box(0, 0, 14, 10), [0.1, 0]), { before })).toBe("");
    expect(says(box(0, 0, 16, 10), { before })).toContain("lies over");
  });
});

it("an outline moves by metres, and knows its middle and what it contains", () => {
  const there = moved(box(0, 0, 10, 10), [3, -2]);
  expect(centroidOf(there)[0]).toBeCloseTo(at([8, 3])[0] ?? 0, 7);
  expect(centroidOf(there)[1]).toBeCloseTo(at([8, 3])[1] ?? 0, 7);
  expect(contains(there, at([8, 3]))).toBe(true);
  expect(contains(there, at([14, 3]))).toBe(false);
});
