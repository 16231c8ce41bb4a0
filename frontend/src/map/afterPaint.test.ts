import { expect, it } from "vitest";

import type { Building } from "../api/types";
import type { Sight } from "../review/state";
import { afterPaint } from "./afterPaint";

/** A sight that writes down what it is told, and the frames that it waits for. */
function written() {
  const told: string[] = [];
  const frames: (() => void)[] = [];
  const quiet = (): void => undefined;
  const sight: Sight = {
    put: ({ uid }) => void told.push(`put ${uid}`),
    select: (uid) => void told.push(`select ${uid}`),
    goTo: (bounds) => void told.push(`go to ${bounds[0]}`),
    drop: quiet, lift: quiet, look: quiet, reload: quiet,
    showAreas: quiet, showGaps: quiet, showFilter: quiet, showPeers: quiet, stepBack: quiet,
    bounds: () => [told.length, 0, 1, 1],
    centre: () => [told.length, 0],
  };
  return { told, frames, sight: afterPaint(sight, (flush) => frames.push(flush)) };
}

const house = (uid: string): Building => ({ uid }) as Building;

it("tells all of it in order, once, after the frame", () => {
  const { told, frames, sight } = written();
  sight.put(house("a"));
  sight.select("b");
  sight.goTo([3, 0, 4, 1], false);
  expect(told).toEqual([]);

  expect(frames).toHaveLength(1);
  frames[0]?.();
  expect(told).toEqual(["put a", "select b", "go to 3"]);

  sight.put(house("c"));
  frames[0]?.();
  frames[1]?.();
  expect(told).toEqual(["put a", "select b", "go to 3", "put c"]);
});

it("says where the map is about to be, and does not draw to say where it is", () => {
  const { told, sight } = written();
  sight.put(house("a"));
  expect(sight.bounds()[0]).toBe(0);
  sight.goTo([3, 0, 4, 1], false);
  expect(sight.bounds()[0]).toBe(2);
  expect(told).toEqual(["put a", "go to 3"]);
});
