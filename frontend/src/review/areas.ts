/** Areas in which everything was looked at, and areas that nobody can assess. */
import type { Polygon } from "geojson";

import * as api from "../api/assessments";
import type { AreaBecause } from "../api/types";
import type { Core } from "./state";

export const AREA_REASONS: Record<AreaBecause, string> = {
  cloud: "Cloud",
  shadow: "Shadow",
  bad_image: "Bad image",
  no_image: "No image there",
};

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

  const addArea = async (outline: Polygon, because: AreaBecause | null): Promise<void> => {
    await api.addArea(page.id, outline, because);
    await refreshAreas();
  };

  return { refreshAreas, removeArea, addArea };
}
