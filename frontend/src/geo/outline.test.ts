import type { Polygon, Position } from "geojson";
import { describe, expect, it } from "vitest";

import { areaM2, boundsOf, centreOf, checkOutline, distanceM, tidied } from "./outline";

const polygon = (...ring: Position[]): Polygon => ({ type: "Polygon", coordinates: [ring] });
const square = polygon([10, 50], [10.001, 50], [10.001, 50.001], [10, 50.001], [10, 50]);

describe("an analyst's outline", () => {
  it("can be saved when it is a closed ring", () => {
    expect(checkOutline(square)).toEqual({ ok: true });
  });

  it("needs three corners", () => {
    const check = checkOutline(polygon([0, 0], [1, 1], [0, 0]));

    expect(check).toEqual({ ok: false, message: "Draw at least three corners." });
  });

  it("must not cross itself", () => {
    const bowTie = polygon([0, 0], [1, 1], [1, 0], [0, 1], [0, 0]);

    expect(checkOutline(bowTie)).toMatchObject({ ok: false });
  });

  it("must be closed", () => {
    expect(checkOutline(polygon([0, 0], [1, 0], [1, 1], [0, 1]))).toMatchObject({ ok: false });
  });

  it("is turned counter-clockwise and rounded before it is sent", () => {
    const clockwise = polygon([0, 0], [0, 1], [1.00000000001, 1], [1, 0], [0, 0]);

    expect(tidied(clockwise).coordinates[0]).toEqual([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]);
    expect(tidied(tidied(clockwise))).toEqual(tidied(clockwise));
  });

  it("has an area within one per cent of the ellipsoid's", () => {
    // 0.001 degrees at 50 N: 71.70 m by 111.23 m on the WGS 84 ellipsoid
    expect(areaM2(square) / (71.7 * 111.23)).toBeCloseTo(1, 2);
  });

  it("has bounds and a middle", () => {
    expect(boundsOf(square)).toEqual([10, 50, 10.001, 50.001]);
    expect(centreOf(square)[0]).toBeCloseTo(10.0005);
  });
});

it("distances shrink with latitude as the ground does", () => {
  expect(distanceM([0, 60], [1, 60]) / distanceM([0, 0], [1, 0])).toBeCloseTo(0.5, 3);
});
