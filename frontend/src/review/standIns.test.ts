import { expect, it } from "vitest";
import type { Polygon } from "geojson";

import type { Building, Draft } from "../api/types";
import type { Act, Entry } from "./log/ledger";
import { standIns } from "./standIns";

const square = (west: number): Polygon => ({
  type: "Polygon",
  coordinates: [[[west, 0], [west + 1e-4, 0], [west + 1e-4, 1e-4], [west, 1e-4], [west, 0]]],
});
const house = { uid: "house", grade: "minor_damage" } as Building;

const waits = (draft: Partial<Draft>, act: Act = { is: "do" }, base: Building | null = null): Entry =>
  ({ draft, act, base, made_at: "2026-11-22T00:00:00Z" }) as Entry;

const added = waits({ id: "a", kind: "add", building: null, grade: "destroyed", outline: square(1) });
const cut = waits(
  { id: "s", kind: "split", building: "house", outlines: [square(1), square(2)] },
  { is: "do" },
  house,
);
const shown = (...waiting: Entry[]): string[] => [...standIns(waiting, "ana").keys()];

it("what is added stands there, and the pieces of what is split, in its grade", () => {
  const all = standIns([added, cut, waits({ id: "d", kind: "accept", building: "house" })], "ana");

  expect([...all.values()].map(({ uid, grade, updated_by }) => [uid, grade, updated_by])).toEqual([
    ["a", "destroyed", "ana"],
    ["s:0", "minor_damage", "ana"],
    ["s:1", "minor_damage", "ana"],
  ]);
  expect(all.get("s:1")?.outline).toEqual(square(2));
});

it("what is taken back goes, and what is done again stands there again", () => {
  const undone = waits({ id: "u", kind: "undo", building: null }, { is: "undo", of: "a" });
  const again = waits({ id: "r", kind: "accept", building: null }, { is: "redo", of: "a" });
  const undoneAgain = waits({ id: "v", kind: "undo", building: null }, { is: "undo", of: "r" });

  expect(shown(added, undone)).toEqual([]);
  expect(shown(added, undone, again)).toEqual(["a"]);
  expect(shown(added, undone, again, undoneAgain)).toEqual([]);
});

it("a split that is done again is another, with pieces of its own", () => {
  const undone = waits({ id: "u", kind: "undo", building: "house" }, { is: "undo", of: "s" });
  const again = waits({ ...cut.draft, id: "t" }, { is: "redo", of: "s" }, house);

  expect(shown(cut, undone)).toEqual([]);
  expect(shown(cut, undone, again)).toEqual(["t:0", "t:1"]);
});
