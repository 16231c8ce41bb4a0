import { expect, it } from "vitest";

import type { CountRow } from "../api/types";
import { tally } from "./tally";

const row = (fields: Partial<CountRow>): CountRow => ({
  grade: "destroyed", review: "unreviewed", source: "model", percent: 50, count: 1, ...fields,
});

it("the slider hides only what nobody has looked at", () => {
  const rows = [
    row({ percent: 20, count: 5 }),
    row({ percent: 20, count: 2, review: "accepted" }),
    row({ percent: 50, count: 3 }),
    row({ percent: null, count: 1, review: "added", source: "analyst", grade: "no_damage" }),
  ];

  const { byGrade, shown, reviewed, hidden } = tally(rows, 50);

  expect([shown, reviewed, hidden]).toEqual([6, 3, 5]);
  expect([byGrade.destroyed, byGrade.no_damage, byGrade.minor_damage]).toEqual([5, 1, 0]);
});

it("rejected ones are counted apart, never as buildings", () => {
  const { shown, rejected, reviewed } = tally([row({ review: "rejected", count: 4 })], 0);

  expect([shown, rejected, reviewed]).toEqual([0, 4, 0]);
});
