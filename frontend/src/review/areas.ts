/** Areas in which everything was looked at. */
import type { Polygon } from "geojson";

import * as api from "../api/assessments";
import type { Core } from "./state";

export function createAreas({ page, store, sight, say, fail }: Core) {
  const refreshAreas = async (): Promise<void> => {
    try {
      const areas = await api.reviewedAreas(page.id);
      store.set({ areas });
      sight()?.showAreas(areas);
    } catch (error) {
      fail(error);
    }
  };

  const removeArea = async (id: string): Promise<void> => {
    try {
      await api.removeReviewedArea(id);
      await refreshAreas();
      say("The mark is removed. The decisions inside stay.");
    } catch (error) {
      fail(error);
    }
  };

  const addArea = async (outline: Polygon): Promise<void> => {
    await api.addReviewedArea(page.id, outline);
    await refreshAreas();
  };

  return { refreshAreas, removeArea, addArea };
}
