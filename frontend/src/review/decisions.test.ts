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
