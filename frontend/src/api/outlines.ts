/** What drawing asks of the server: which outlines stand near by. */
import type { FeatureCollection, Polygon } from "geojson";

import type { Grade } from "../geo/grades";
import type { Bounds } from "../geo/outline";
import { request } from "./client";

export interface Standing {
  readonly uid: string;
  readonly outline: Polygon;
  readonly grade: Grade;
  readonly version: number;
}

const AT_ONCE = 2000;
const HIDDEN = new Set(["rejected", "replaced"]);

/** The buildings that stand inside bounds; `whole` is false where there are more than come at once. */
export async function standingIn(
  assessment: string,
  bounds: Bounds,
): Promise<{ standing: readonly Standing[]; whole: boolean }> {
  const path = `/assessments/${assessment}/footprints?limit=${AT_ONCE}&bbox=${bounds.join(",")}`;
  const { features, next } = await request<FeatureCollection<Polygon> & { next: string | null }>(path);
  const standing = features.flatMap(({ id, geometry, properties }) => {
    const { grade, review, version } = properties as { grade: Grade; review: string; version: number };
    return HIDDEN.has(review) ? [] : [{ uid: String(id), outline: geometry, grade, version }];
  });
  return { standing, whole: next === null };
}
