import type { Polygon } from "geojson";
import { expect, it } from "vitest";

import { pathsOf, sameOutline } from "./pictures";

const square = (west: number, south: number, side: number): Polygon => ({
  type: "Polygon",
  coordinates: [
    [
      [west, south],
      [west + side, south],
      [west + side, south + side],
      [west, south + side],
      [west, south],
    ],
  ],
});

it("draws all outlines in one scale, north up, inside the picture", () => {
  const [large, small] = pathsOf([square(0, 0, 0.002), square(0, 0, 0.001)], 100);

  // The south-west corner is the same; the small one reaches half as far up.
  expect(large).toBe("M8.0 92.0L92.0 92.0L92.0 8.0L8.0 8.0L8.0 92.0Z");
  expect(small).toBe("M8.0 92.0L50.0 92.0L50.0 50.0L8.0 50.0L8.0 92.0Z");
});

it("a degree of longitude is drawn shorter towards the poles", () => {
  const [path] = pathsOf([square(0, 60, 0.001)], 100);

  expect(path?.startsWith("M29.0 92.0L71.0 92.0")).toBe(true);
});

it("knows when nothing was redrawn", () => {
  expect(sameOutline(square(0, 0, 1), square(0, 0, 1))).toBe(true);
  expect(sameOutline(square(0, 0, 1), square(0, 0, 2))).toBe(false);
});
