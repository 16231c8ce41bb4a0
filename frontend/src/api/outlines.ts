/** What drawing asks of the server: which outlines stand near by. */
import type { FeatureCollection, Polygon } from "geojson";

import type { Bounds } from "../geo/outline";
import { request } from "./client";
import type { Building } from "./types";

/** Who decided on it, and what the model called it at first, is not told with an outline. */
type Untold = "uid" | "outline" | "model_grade" | "updated_by" | "updated_at" | "history";
type Told = Omit<Building, Untold>;

const AT_ONCE = 2000;
const HIDDEN = new Set(["rejected", "replaced"]);

/** The buildings that stand inside bounds; `whole` is false where there are more than come at once. */
export async function standingIn(
  assessment: string,
  bounds: Bounds,
): Promise<{ standing: readonly Building[]; whole: boolean }> {
  const path = `/assessments/${assessment}/footprints?limit=${AT_ONCE}&bbox=${bounds.join(",")}`;
  const { features, next } = await request<FeatureCollection<Polygon> & { next: string | null }>(path);
  const all = features.map(({ id, geometry, properties }) =>
    asBuilding(String(id), geometry, properties as Told),
  );
  return { standing: all.filter(stands), whole: next === null };
}

/** Neither called no building, nor split or merged away. */
export const stands = ({ review }: Building): boolean => !HIDDEN.has(review);

function asBuilding(uid: string, outline: Polygon, told: Told): Building {
  const { grade, score, grade_score, probabilities, clipped, unclassified_because } = told;
  const { unsure_because, flagged, area_m2, review, source, version } = told;
  return {
    uid, outline, grade, score, grade_score, probabilities, clipped, unclassified_because,
    unsure_because, flagged, area_m2, review, source, version,
    model_grade: null, updated_by: null, updated_at: "", history: [],
  };
}
