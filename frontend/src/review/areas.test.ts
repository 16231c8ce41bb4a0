import { afterEach, expect, it, vi } from "vitest";
import type { Polygon } from "geojson";

import * as api from "../api/assessments";
import { createAreas } from "./areas";
import type { Core } from "./state";

afterEach(() => void vi.restoreAllMocks());

const square = (side: number): Polygon => ({
  type: "Polygon", coordinates: [[[0, 0], [side, 0], [side, side], [0, side], [0, 0]]],
});

/** A server whose answers to the first marks are lost; gives what it was sent. */
function losing(answers: number): { areas: ReturnType<typeof createAreas>; sent: api.AreaDraft[] } {
  const sent: api.AreaDraft[] = [];
  vi.spyOn(api, "reviewedAreas").mockResolvedValue([]);
  vi.spyOn(api, "addArea").mockImplementation((_, area) => {
    sent.push(area);
    return sent.length > answers ? Promise.resolve({} as never) : Promise.reject(new Error("lost"));
  });
  const core = { page: { id: "a1" }, store: { set: vi.fn() }, sight: () => null };
  return { areas: createAreas(core as unknown as Core), sent };
}

it("a mark whose answer was lost is sent again as the same, and another as another", async () => {
  const { areas, sent } = losing(2);
  const field = square(1);

  await expect(areas.addArea(field, null)).rejects.toThrow("lost");
  await expect(areas.addArea(field, null)).rejects.toThrow("lost");
  await areas.addArea(field, null);
  await areas.addArea(field, null);

  const [first, second, third, later] = sent.map(({ id }) => id);
  expect([second, third]).toEqual([first, first]);
  expect(later).not.toBe(first);
});

it("what was changed before it is sent again is a mark of its own", async () => {
  const { areas, sent } = losing(2);
  const field = square(1);

  await expect(areas.addArea(field, null)).rejects.toThrow();
  await expect(areas.addArea(field, "cloud")).rejects.toThrow();
  await areas.addArea(square(2), "cloud");

  expect(new Set(sent.map(({ id }) => id)).size).toBe(3);
});
