import { expect, it } from "vitest";

import { area, bytes, count, duration, percent } from "./format";

it("time left is said in the unit that people think in", () => {
  expect([duration(0.2), duration(59), duration(150), duration(5400)]).toEqual([
    "1 s", "59 s", "3 min", "1 h 30 min",
  ]);
});

it("areas go from square metres to square kilometres", () => {
  expect([area(84.4), area(2_500_000), area(52_000)]).toEqual(["84 m²", "2.5 km²", "0.052 km²"]);
});

it("file sizes are decimal", () => {
  expect([bytes(0), bytes(3_400_000), bytes(10_000_000_000)]).toEqual(["0 B", "3.4 MB", "10.0 GB"]);
});

it("counts agree in number", () => {
  expect([count(1, "building", "buildings"), count(1200, "building", "buildings")]).toEqual([
    "1 building", "1,200 buildings",
  ]);
  expect(percent(0.256)).toBe("26 %");
});
