/** Which buildings are listed, and which one comes next. */
import * as api from "../api/assessments";
import { boundsOf, type Bounds } from "../geo/outline";
import { nextToReview } from "./queue";
import type { Core } from "./state";

const ANYWHERE: Bounds = [-180, -85, 180, 85];
const NEAREST_AT_MOST = 2000; // what the server gives at once

export function createLists({ page, store, sight, say, fail, pick }: Core) {
  const refreshList = async (): Promise<void> => {
    const bounds = sight()?.bounds() ?? page.bounds; // without a map, the whole image
    if (!bounds || store.now.progress?.state !== "done") return;
    try {
      const { rows, next } = await api.listBuildings(page.id, bounds);
      store.set({ listed: rows, listGoesOn: next });
    } catch (error) {
      fail(error);
    }
  };

  const listMore = async (): Promise<void> => {
    const { listed, listGoesOn } = store.now;
    if (!listed || !listGoesOn) return;
    try {
      const { rows, next } = await api.listMore(listGoesOn);
      if (store.now.listed === listed) store.set({ listed: [...listed, ...rows], listGoesOn: next });
    } catch (error) {
      fail(error);
    }
  };

  const next = async (): Promise<void> => {
    if (store.now.drawing) return;
    const map = sight();
    const { picked, view } = store.now;
    store.set({ opening: true }); // a second key press must not decide on the same building again
    const from = picked ? middle(boundsOf(picked.outline)) : (map?.centre() ?? middle(page.bounds ?? ANYWHERE));
    const waiting = store.now.waiting.map(({ draft }) => draft.building);
    const skip = new Set([picked?.uid, ...waiting].filter((uid) => uid != null));
    const found = await nearest(from, view.minScore, skip);
    if (!found) {
      await pick(null);
      return say("Nothing is left to review at this score. Lower the score, or download the result.");
    }
    if (map && !inside(found.bounds, map.bounds())) map.goTo(found.bounds, false);
    await pick(found.uid);
  };

  /** The server knows all of them; without a connection, the list of what is in view must do. */
  const nearest = async (
    from: readonly [number, number],
    minScore: number,
    skip: ReadonlySet<string>,
  ): Promise<api.Listed | undefined> => {
    try {
      const limit = Math.min(skip.size + 1, NEAREST_AT_MOST);
      const all = await api.unreviewedNear(page.id, from, minScore, limit);
      return nextToReview(all, from, minScore, skip);
    } catch (error) {
      fail(error);
      return nextToReview(store.now.listed ?? [], from, minScore, skip);
    }
  };

  return { refreshList, listMore, next };
}

const middle = ([west, south, east, north]: Bounds): readonly [number, number] => [
  (west + east) / 2,
  (south + north) / 2,
];

const inside = (inner: Bounds, outer: Bounds): boolean =>
  inner[0] >= outer[0] && inner[1] >= outer[1] && inner[2] <= outer[2] && inner[3] <= outer[3];

