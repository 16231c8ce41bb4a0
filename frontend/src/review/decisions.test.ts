import { expect, it } from "vitest";

import type { Building } from "../api/types";
import { foretell } from "./decisions";

const building = { uid: "b1", grade: "no_damage", review: "unreviewed", version: 0 } as Building;

it("a regrade shows at once, on the next version", () => {
  const after = foretell(building, {
    id: "d", kind: "regrade", building: "b1", on_version: 0, grade: "destroyed",
  });

  expect(after).toMatchObject({ grade: "destroyed", review: "regraded", version: 1 });
  expect(building.grade).toBe("no_damage");
});

it("an undo waits for the server, who alone knows what was before", () => {
  const undo = { id: "d", kind: "undo", building: "b1", on_version: 3 } as const;

  expect(foretell(building, undo)).toBe(building);
});

it("an undo of ours brings back what we saw before, on the next version", () => {
  const regraded = { ...building, grade: "destroyed", review: "regraded", version: 4 } as Building;
  const undo = { id: "d", kind: "undo", building: "b1", on_version: 4 } as const;

  const after = foretell(regraded, undo, building);

  expect(after).toMatchObject({ grade: "no_damage", review: "unreviewed", version: 5 });
});

it("what an analyst added stays added, whatever is decided on it but a rejection", () => {
  const added = { ...building, source: "analyst", review: "added", version: 1 } as Building;
  const on = { id: "d", building: "b1", on_version: 1 };

  expect(foretell(added, { ...on, kind: "accept" }).review).toBe("added");
  expect(foretell(added, { ...on, kind: "reject" }).review).toBe("rejected");
});
