import { expect, it } from "vitest";

import type { Bounds } from "../geo/outline";
import { createNearby, type Changed } from "./nearby";

/** A map that looks at one degree from `west` on, and what it has been given to draw. */
function looking(west = 0) {
  const there = new Map<string, Changed>();
  const at = { west, wide: 1 };
  let replaced = 0;
  const view = (): Bounds => [at.west, 0, at.west + at.wide, at.wide];
  const nearby = createNearby({
    replace(all) {
      replaced++;
      there.clear();
      for (const one of all) there.set(one.properties.uid, one);
    },
    add: (one) => void there.set(one.properties.uid, one),
    remove: (uid) => void there.delete(uid),
  }, view);
  const go = (to: Partial<typeof at>): void => {
    Object.assign(at, to);
    nearby.moved();
  };
  return { nearby, go, drawn: () => [...there.keys()].sort(), replaced: () => replaced };
}

const house = (uid: string, x: number): Changed => ({
  type: "Feature",
  properties: { uid },
  geometry: { type: "Polygon", coordinates: [[[x, 0.5], [x + 0.1, 0.5], [x + 0.1, 0.6], [x, 0.5]]] },
});

it("holds what changed round the view, and brings back the rest when one goes there", () => {
  const { nearby, go, drawn } = looking();
  nearby.put(house("here", 0.5));
  nearby.put(house("far", 9));
  expect(drawn()).toEqual(["here"]);

  go({ west: 9 });
  expect(drawn()).toEqual(["far"]);
  go({ west: 0 });
  expect(drawn()).toEqual(["here"]);
});

it("holds all of it for whoever sees all, and lets it go when one comes near again", () => {
  const { nearby, go, drawn } = looking();
  for (let x = 0; x < 40; x++) nearby.put(house(`at ${x}`, x));
  go({ wide: 50 });
  expect(drawn()).toHaveLength(40);
  go({ wide: 1 });
  expect(drawn()).toEqual(["at 0", "at 1", "at 2"]);
});

it("gives nothing anew for a small step", () => {
  const { nearby, go, replaced } = looking();
  nearby.put(house("here", 0.5));
  go({ west: 0.4 });
  go({ west: -0.4 });
  expect(replaced()).toBe(0);
});

it("takes away what was redrawn elsewhere, dropped, or is in the tiles again", () => {
  const { nearby, go, drawn } = looking();
  nearby.put(house("moved", 0.5));
  nearby.put(house("moved", 9));
  nearby.put(house("dropped", 0.5));
  nearby.drop("dropped");
  expect(drawn()).toEqual([]);
  nearby.clear();
  go({ west: 9 });
  expect(drawn()).toEqual([]);
});

it("finds a building beyond 180 degrees, where the map counts on", () => {
  const { nearby, drawn } = looking(179.5);
  nearby.put(house("in Fiji", -179.8));
  expect(drawn()).toEqual(["in Fiji"]);
});
