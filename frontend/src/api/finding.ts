/** A building by its id. */
import type { Bounds } from "../geo/outline";
import { request } from "./client";

/** The one building of an assessment whose id begins so; refused with a sentence if there is not one. */
export const findBuilding = (
  assessment: string,
  begins: string,
): Promise<{ uid: string; bounds: Bounds }> =>
  request(`/assessments/${assessment}/find-building?${new URLSearchParams({ uid: begins })}`);
