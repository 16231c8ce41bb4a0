import { expect, it } from "vitest";

import type { Building, CountRow } from "../api/types";
import {
  appended, EMPTY_QUEUE, fits, leftOf, mustMove, NO_FILTERS, upcoming, updated, wentTo,
  whoDecided, type Queue,
} from "./queue";
import { moved } from "./tally";

const a = (uid: string, fields: Partial<Building> = {}): Building => ({
  uid, grade: "destroyed", score: 0.8, grade_score: 0.7, probabilities: null, version: 0,
  model_grade: "destroyed", clipped: false, unclassified_because: null, area_m2: 100, unsure_because: null, flagged: false,
  review: "unreviewed", source: "model", updated_by: null, updated_at: "", history: [],
  outline: { type: "Polygon", coordinates: [] }, ...fields,
});

const queueOf = (items: readonly Building[], fields: Partial<Queue> = {}): Queue => ({
  ...EMPTY_QUEUE, items, is: "ready", ...fields,
});

const uids = (all: readonly Building[]): string[] => all.map(({ uid }) => uid);

it("what comes keeps the server's order, without the one looked at and those decided meanwhile", () => {
  const queue = queueOf([a("mine"), a("first"), a("theirs"), a("second")]);
  const after = updated(queue, a("theirs", { review: "rejected", version: 1 }), 0.5);

  expect(uids(upcoming(after, 0.5, new Set(["mine"])))).toEqual(["first", "second"]);
});

it("every filter is held against a building as it stands now", () => {
  const one = a("x", { review: "regraded", grade: "no_damage", updated_by: "ada", score: 0.6 });
  const left = (filters: object): boolean => fits(one, { ...NO_FILTERS, state: "any", ...filters }, 0.5);

  expect(left({})).toBe(true);
  expect(left({ state: "unreviewed" })).toBe(false);
  expect([left({ grade: "no_damage" }), left({ grade: "destroyed" })]).toEqual([true, false]);
  expect([left({ who: "ada" }), left({ who: "bob" })]).toEqual([true, false]);
  expect([left({ maxScore: 0.6 }), left({ maxScore: 0.5 })]).toEqual([true, false]);
  expect(fits(one, { ...NO_FILTERS, state: "any" }, 0.7)).toBe(false);
});

it("what was drawn by hand has no score: it is above every least one and below no greatest one", () => {
  const drawn = a("x", { score: null, review: "added", source: "analyst" });

  expect(fits(drawn, { ...NO_FILTERS, state: "added" }, 0.99)).toBe(true);
  expect(fits(drawn, { ...NO_FILTERS, state: "added", maxScore: 0.9 }, 0)).toBe(false);
});

it("a page that overlaps the one before adds nothing twice", () => {
  expect(uids(appended([a("1"), a("2")], [a("2"), a("3")]))).toEqual(["1", "2", "3"]);
});

it("a counted queue falls by one when a building leaves it, and rises when it comes back", () => {
  const queue = queueOf([a("1"), a("2")], { count: 7 });
  const accepted = updated(queue, a("1", { review: "accepted", version: 1 }), 0);
  const again = updated(accepted, a("1", { review: "accepted", version: 1 }), 0);
  const undone = updated(again, a("1", { version: 2 }), 0);

  expect([accepted.count, again.count, undone.count]).toEqual([6, 6, 7]);
  expect(updated(queue, a("elsewhere", { review: "accepted" }), 0)).toBe(queue);
});

it("the trail is kept to go back, but not without end", () => {
  let queue = queueOf([]);
  for (let n = 0; n < 600; n++) queue = wentTo(queue, String(n));

  expect(queue.trail.length).toBe(500);
  expect(queue.trail[queue.at]).toBe("599");
});

const row = (fields: Partial<CountRow>): CountRow => ({
  grade: "destroyed", review: "unreviewed", source: "model", percent: 80, count: 10, ...fields,
});

it("what is left is counted by grade, score and state", () => {
  const rows = [
    row({}), row({ percent: 40 }), row({ review: "accepted", count: 3 }), row({ grade: "no_damage" }),
    row({ percent: null, source: "analyst", review: "added", count: 2 }),
  ];
  const left = (filters: object, minScore = 0.5) => leftOf(rows, { ...NO_FILTERS, ...filters }, minScore);

  expect(left({})).toEqual({ left: 20, total: 25 });
  expect(left({ grade: "destroyed" }, 0)).toEqual({ left: 20, total: 25 });
  expect(left({ maxScore: 0.5 }, 0)).toEqual({ left: 10, total: 10 });
  expect(left({ state: "accepted" })).toEqual({ left: 3, total: 25 });
  expect(left({ who: "ada" })).toBeNull(); // only the server knows
});

it("counts follow decisions without asking the server", () => {
  const before = [row({})];
  const regraded = a("x", { grade: "no_damage", review: "regraded", version: 1 });

  const seen = moved(before, a("x"), regraded);
  expect(seen).toEqual([row({ count: 9 }), row({ grade: "no_damage", review: "regraded", count: 1 })]);
  expect(moved(before, undefined, regraded)).toEqual(seen); // of a colleague, never seen before
  expect(moved(seen, regraded, regraded)).toEqual(seen); // the server agrees
  expect(moved(before, undefined, { ...regraded, version: 2 })).toBe(before); // nobody here knows
  const drawn = a("y", { review: "added", version: 1, source: "analyst", score: null, model_grade: null });
  expect(moved(before, undefined, drawn).at(-1)).toMatchObject({ count: 1, percent: null });
});

it("the map moves when the building is out of sight, or too small to judge", () => {
  const view = [0, 0, 1, 1] as const;

  expect(mustMove([0.4, 0.4, 0.5, 0.5], view)).toBe(false);
  expect(mustMove([0.95, 0.4, 1.05, 0.5], view)).toBe(true);
  expect(mustMove([0.4, 0.4, 0.401, 0.401], view)).toBe(true);
});

it("offers everybody who decided, oneself first, each once", () => {
  const items = [a("x", { updated_by: "cleo" }), a("y")];
  const queue = { items, filters: { ...NO_FILTERS, who: "zoe" } };
  expect(whoDecided(["mia", "ben", "cleo"], queue, "mia")).toEqual(["mia", "ben", "cleo", "zoe"]);
});
