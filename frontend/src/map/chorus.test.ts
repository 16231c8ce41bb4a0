import { expect, it } from "vitest";

import type { Building } from "../api/types";
import { createChorus, type Voice } from "./chorus";

/** A voice that writes down what it is told. */
function voice(): Voice & { told: string[] } {
  const told: string[] = [];
  return {
    told,
    put: ({ uid }) => void told.push(`put ${uid}`),
    drop: (uid) => void told.push(`drop ${uid}`),
    lift: (uid) => void told.push(`lift ${uid}`),
    select: (uid) => void told.push(`select ${uid}`),
    look: ({ minScore }) => void told.push(`look ${minScore}`),
    reload: () => void told.push("reload"),
    showAreas: (all) => void told.push(`areas ${all.length}`),
    showGaps: (all) => void told.push(`gaps ${all.features.length}`),
    showFilter: (area) => void told.push(area ? "filter" : "no filter"),
  };
}

const house = (uid: string): Building => ({ uid }) as Building;
const view = { minScore: 0.5, opacity: 0.3, showRejected: false };

it("tells all the same, and one that joins late what still stands", () => {
  const chorus = createChorus();
  const first = voice();
  chorus.join(first);
  chorus.look(view);
  chorus.put(house("a"));
  chorus.put(house("b"));
  chorus.drop("b");
  chorus.select("a");
  chorus.select(null);
  chorus.showAreas([]);

  const late = voice();
  chorus.join(late);
  expect(late.told).toEqual(["put a", "look 0.5", "areas 0", "select null"]);
  chorus.put(house("c"));
  expect([first.told.at(-1), late.told.at(-1)]).toEqual(["put c", "put c"]);
});

it("tells nothing to one that left, and nothing old after everything was read again", () => {
  const chorus = createChorus();
  const gone = voice();
  chorus.join(gone)();
  chorus.put(house("a"));
  expect(gone.told).toEqual([]);

  chorus.reload();
  const late = voice();
  chorus.join(late);
  expect(late.told).toEqual([]);
});

it("shows the outline of the filter on every map, until it is taken away", () => {
  const chorus = createChorus();
  const first = voice();
  chorus.join(first);
  chorus.showFilter({ type: "Polygon", coordinates: [] });
  const late = voice();
  chorus.join(late);
  chorus.reload();
  chorus.showFilter(null);

  expect(first.told).toEqual(["filter", "reload", "no filter"]);
  expect(late.told).toEqual(["filter", "reload", "no filter"]);
});
