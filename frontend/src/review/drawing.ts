/** Drawing on the map: an outline anew, a missed building, a reviewed area. */
import type { Polygon } from "geojson";

import type { Draft } from "../api/types";
import type { Grade } from "../geo/grades";
import { areaM2, boundsOf, checkOutline } from "../geo/outline";
import type { Core, Drawing } from "./state";

type AddArea = (outline: Polygon) => Promise<void>;

/** `addArea` and `addTeamArea` store an area; they throw what the server refuses. */
export function createDrawing(core: Core, addArea: AddArea, addTeamArea: AddArea) {
  const { page, store, sight, pen, say, fail, pick, send, post } = core;

  const startDrawing = (drawing: Drawing): void => {
    const tool = pen();
    if (!tool || store.now.drawing || !page.can_review) return;
    if (drawing.is !== "redraw") void pick(null);
    store.set({ drawing, message: null });
    const hear = (outline: Polygon): void => {
      if (store.now.drawing) store.set({ drawing: { ...store.now.drawing, outline } });
    };
    if (drawing.is === "redraw") {
      sight()?.lift(drawing.building.uid);
      sight()?.goTo(boundsOf(drawing.building.outline), true);
      tool.edit(drawing.building.outline, hear);
    } else {
      tool.draw(hear);
    }
  };

  const stopDrawing = (): void => {
    pen()?.putDown();
    sight()?.lift(null);
    sight()?.stepBack();
    store.set({ drawing: null, saving: false });
  };

  const saveDrawing = async (): Promise<void> => {
    const { drawing } = store.now;
    if (!drawing?.outline) return;
    const check = checkOutline(drawing.outline);
    if (!check.ok) return say(check.message, true);
    if (drawing.is === "area") return saveArea(drawing.outline, addArea, "Area marked as fully reviewed.");
    if (drawing.is === "team") return saveArea(drawing.outline, addTeamArea, "The area is added.");
    if (drawing.is === "add" && !drawing.grade) return say("Choose a grade first.", true);
    stopDrawing();
    if (drawing.is === "redraw") send(drawing.building, "redraw", { outline: drawing.outline });
    else if (drawing.grade) addBuilding(drawing.outline, drawing.grade);
  };

  const addBuilding = (outline: Polygon, grade: Grade): void => {
    const draft: Draft = {
      id: crypto.randomUUID(), kind: "add", building: null, on_version: 0, grade, outline,
    };
    sight()?.put({
      uid: draft.id, grade, outline, review: "added", source: "analyst", version: 1,
      score: null, grade_score: null, probabilities: null, model_grade: null, clipped: false,
      unclassified_because: null,
      area_m2: areaM2(outline), updated_by: page.user, updated_at: new Date().toISOString(),
      history: [],
    });
    post(draft);
  };

  const saveArea = async (outline: Polygon, add: AddArea, said: string): Promise<void> => {
    store.set({ saving: true });
    try {
      await add(outline);
      stopDrawing();
      say(said);
    } catch (error) {
      store.set({ saving: false }); // the drawing stays, so nothing is lost
      fail(error);
    }
  };

  return {
    redraw(): void {
      const { picked } = store.now;
      if (picked) startDrawing({ is: "redraw", building: picked, outline: null });
    },
    add: (): void => startDrawing({ is: "add", grade: null, outline: null }),
    drawTeamArea: (): void => startDrawing({ is: "team", outline: null }),
    markArea: (): void => startDrawing({ is: "area", outline: null }),
    chooseGrade(grade: Grade): void {
      const { drawing } = store.now;
      if (drawing?.is === "add") store.set({ drawing: { ...drawing, grade } });
    },
    saveDrawing,
    stopDrawing,
  };
}
