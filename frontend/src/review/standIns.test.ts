import { expect, it } from "vitest";
import type { Polygon } from "geojson";

import type { Building, Draft } from "../api/types";
import type { Act, Entry } from "./log/ledger";
import { mergedAway, standIns } from "./standIns";

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

const annexe = { uid: "annexe", grade: "destroyed", review: "added", version: 4 } as Building;
const join = (id: string, act: Act = { is: "do" }, part = annexe): Entry => ({
  ...waits({ id, kind: "merge", building: "house" }, act, house),
  parts: [part],
});
const takeBack = (id: string, of: string): Entry =>
  waits({ id, kind: "undo", building: "house" }, { is: "undo", of });
const merge = join("m");

/** Of the annexe: as it will be, and as it is if the server refuses. */
function foretold(waiting: Entry[], answered: Entry[] = []): { is: string; was: string } | null {
  const made = (id: string) => [...answered, ...waiting].find(({ draft }) => draft.id === id);
  const found = mergedAway(waiting, made).get("annexe");
  const told = ({ review, version }: Building): string => `${review} ${version}`;
  return found ? { is: told(found.is), was: told(found.was) } : null;
}

it("what is merged into another stands there no more, and comes back if that is refused", () => {
  expect(foretold([merge])).toEqual({ is: "replaced 5", was: "added 4" });
  expect(foretold([])).toBeNull();
});

it("a merge that is taken back before it was saved brings it back, as it was", () => {
  expect(foretold([merge, takeBack("u", "m")])).toEqual({ is: "added 6", was: "added 4" });
});

it("a saved merge that is taken back brings it back too; refused, it stays merged", () => {
  expect(foretold([takeBack("u", "m")], [merge])).toEqual({ is: "added 6", was: "replaced 5" });
});

it("a merge that is done again takes it away again, on the version that it then has", () => {
  const undone = takeBack("u", "m");
  const again = join("r", { is: "redo", of: "m" }, { ...annexe, version: 6 });

  expect(foretold([merge, undone, again])).toEqual({ is: "replaced 7", was: "added 4" });
  expect(foretold([undone, again], [merge])).toEqual({ is: "replaced 7", was: "replaced 5" });
  expect(foretold([takeBack("v", "r")], [merge, undone, again])?.is).toEqual("added 8");
});

it("the last decision that tells of it is named: by its answer it stays or goes back", () => {
  const all = [merge, takeBack("u", "m")];
  const found = mergedAway(all, (id) => all.find(({ draft }) => draft.id === id));

  expect(found.get("annexe")?.by).toBe("u");
});
