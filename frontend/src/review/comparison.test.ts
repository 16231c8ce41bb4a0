import { expect, it } from "vitest";

import { comparison } from "./comparison";

const pair = {
  state: "done",
  input_kind: "before_after",
  before_scene: "b",
  before_shift_m: 1.44,
  before_tiles_without: 0,
  tiles_total: 12,
} as const;

it("says nothing where there is no image before", () => {
  expect(comparison({ ...pair, before_scene: null, input_kind: "after" })).toEqual([]);
});

it("says how far the image before was moved, and where it shows nothing", () => {
  const [moved, ...rest] = comparison(pair);
  expect(moved).toContain("moved 1.4 m");
  expect(rest).toEqual([]);
  expect(comparison({ ...pair, before_tiles_without: 1 })[1]).toContain("1 tile out of 12");
});

it("does not call an image well laid when that could not be told", () => {
  expect(comparison({ ...pair, before_shift_m: null })).toEqual([
    "How far it lies off could not be told: it is compared as its file places it.",
  ]);
  expect(comparison({ ...pair, before_shift_m: 0 })[0]).toContain("lies under the image after");
});

it("promises no comparison before it was planned, nor by a model of one image", () => {
  expect(comparison({ ...pair, state: "planning", before_shift_m: null })[0]).toContain("measured first");
  expect(comparison({ ...pair, input_kind: "after" })[0]).toContain("only shown on the map");
});
