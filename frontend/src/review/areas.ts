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

  /** What was sent and not answered: the same once more must not be there twice. */
  let unanswered: api.AreaDraft | null = null;

  const addArea = async (outline: Polygon, because: AreaBecause | null): Promise<void> => {
    const again = unanswered?.outline === outline && unanswered.because === because;
    const id = again && unanswered ? unanswered.id : crypto.randomUUID();
    unanswered = { id, outline, because };
    await api.addArea(page.id, unanswered);
    unanswered = null;
    await refreshAreas();
  };

  return { refreshAreas, removeArea, addArea };
}
