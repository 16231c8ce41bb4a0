import { expect, it } from "vitest";
import type { Polygon } from "geojson";

import type { Building, Draft } from "../api/types";
import { onTop, sidesOf } from "./clash";
import type { Clash, Entry } from "./log/ledger";

const square = (west: number, wide = 1): Polygon => ({
  type: "Polygon",
  coordinates: [[[west, 0], [west + wide, 0], [west + wide, 1], [west, 1], [west, 0]]],
});
const house = (uid: string, fields: Partial<Building> = {}): Building =>
  ({
    uid, grade: "no_damage", review: "unreviewed", version: 0, source: "model", history: [],
    outline: square(uid === "annexe" ? 1 : 0), ...fields,
  }) as unknown as Building;
const annexe = house("annexe", { version: 2 });
const shed = house("shed", { version: 5 });

const decided = (draft: Partial<Draft>, parts?: readonly Building[], base: Building | null = house("house")): Entry =>
  ({ draft: { id: "d", building: "house", on_version: 0, ...draft }, base, act: { is: "do" }, parts }) as Entry;
const merge = decided(
  {
    kind: "merge", outline: square(0, 2),
    others: [{ building: "annexe", on_version: 2 }, { building: "shed", on_version: 5 }],
  },
  [annexe, shed],
);
const regraded = house("annexe", { version: 3, grade: "destroyed", review: "regraded" });
const clash = (mine: Entry[], theirs = regraded, base: Building | null = house("house")): Clash =>
  ({ uid: "house", mine, ids: ["d"], base, theirs });

it("a part that was changed is compared with itself: as it was seen, merged, and as they left it", () => {
  const { base, mine, theirs, whole } = sidesOf(clash([merge]));

  expect([base?.uid, mine.uid, theirs.uid]).toEqual(["annexe", "annexe", "annexe"]);
  expect([base?.version, mine.review, theirs.grade]).toEqual([2, "replaced", "destroyed"]);
  expect(whole).toEqual({ grade: "no_damage", outline: square(0, 2) });
});

it("the whole has the grade that was last given to it, and none that nobody knows", () => {
  const later = decided({ kind: "regrade", grade: "major_damage", on_version: 1 });

  expect(sidesOf(clash([merge, later])).whole?.grade).toBe("major_damage");
  expect(sidesOf(clash([merge], regraded, null)).whole?.grade).toBeNull();
});

it("where the building itself was changed, it is that which is compared", () => {
  const theirs = house("house", { version: 1, grade: "minor_damage" });
  const sides = sidesOf(clash([merge], theirs));

  expect([sides.base?.uid, sides.mine.review, sides.theirs, sides.whole]).toEqual(
    ["house", "redrawn", theirs, null],
  );
});

it("of a merge that was taken back before it was sent, nothing of the part is left to choose", () => {
  const later = decided({ kind: "accept", on_version: 2 });
  const { mine, theirs } = sidesOf(clash([later]));

  expect([mine.review, theirs.uid, theirs.review]).toEqual(["accepted", "house", "unreviewed"]);
});

it("a merge on top rests on the part as they left it, and names the grade that was meant", () => {
  const [again] = onTop(clash([merge]), house("house"));

  expect(again?.draft).toMatchObject({
    kind: "merge", building: "house", on_version: 0, grade: "no_damage", outline: square(0, 2),
    others: [{ building: "annexe", on_version: 3 }, { building: "shed", on_version: 5 }],
  });
  expect(again?.draft.id).not.toBe("d");
  expect(again?.parts).toEqual([regraded, shed]);
});

it("a merge on top of a whole that was regraded keeps the grade that was meant, and its parts' versions", () => {
  const theirs = house("house", { version: 1, grade: "destroyed" });
  const [again] = onTop(clash([merge], theirs), theirs);

  expect(again?.draft).toMatchObject({ on_version: 1, grade: "no_damage", others: merge.draft.others });
  expect(again?.base).toEqual(theirs);
});

it("what stood on the merge follows it, each on the version before; a plain decision gets no grade", () => {
  const later = decided({ kind: "accept", on_version: 1 });
  const all = onTop(clash([merge, later]), house("house"));

  expect(all.map(({ draft }) => [draft.kind, draft.on_version, draft.grade])).toEqual(
    [["merge", 0, "no_damage"], ["accept", 1, undefined]],
  );
  expect(all[1]?.base).toMatchObject({ review: "redrawn", version: 1, outline: square(0, 2) });
});

it("of a building that an old page did not keep, the decision still names it and its version", () => {
  const old = decided({ kind: "merge", on_version: 4, others: [{ building: "annexe", on_version: 2 }] }, undefined, null);
  const [again] = onTop(clash([old], regraded, null), null);

  expect(again?.draft).toMatchObject({ building: "house", on_version: 4 });
  expect([again?.base, again?.parts, again?.draft.grade]).toEqual([null, undefined, undefined]);
});

it("to accept on top of another grade is to say the one that was seen, for acceptance would be of theirs", () => {
  const theirs = house("house", { version: 3, grade: "destroyed", review: "regraded" });
  const unsure = house("house", { version: 3, grade: "unclassified", review: "unsure" });
  const same = house("house", { version: 3, review: "redrawn" });
  const accepted = decided({ kind: "accept" });

  const anew = [theirs, unsure, same].map((one) => onTop(clash([accepted], one), one)[0]?.draft);

  expect(anew.map((draft) => [draft?.kind, draft?.grade, draft?.on_version])).toEqual(
    [["regrade", "no_damage", 3], ["regrade", "no_damage", 3], ["accept", undefined, 3]],
  );
});
