/**
 * What the API sends, as the screens use it. `schema.d.ts` comes from the API's own description
 * (`npm run types`); here only what that description leaves open is narrowed.
 */
import type { Polygon } from "geojson";

import type { Bounds } from "../geo/outline";
import type { ModelGrade } from "../geo/grades";
import type { components } from "./schema";

type Schemas = components["schemas"];
type Narrowed<Wide, Narrow> = Omit<Wide, keyof Narrow> & Narrow;

export type AssessmentState =
  | "waiting"
  | "planning"
  | "running"
  | "merging"
  | "done"
  | "failed"
  | "cancelled";

export type Assessment = Narrowed<Schemas["AssessmentOut"], { state: AssessmentState }>;

/** A part of an assessment; `log` is "" for all but admins. */
export type Shard = Schemas["ShardOut"];

export type Scene = Schemas["SceneOut"];

/** One row of a building's history. */
export type PastDecision = Schemas["DecisionOut"];

export type DecisionKind = PastDecision["kind"];

/** The current state of one building. */
export type Building = Narrowed<
  Schemas["BuildingOut"],
  { outline: Polygon; probabilities: Partial<Record<ModelGrade, number>> | null }
>;

export type Review = Building["review"];

/** Why the model gave a building its grade. */
export type Explanation = Schemas["ExplanationOut"];

/** What a person decides; `id` is made here, so that sending twice is harmless. */
export type Draft = Narrowed<
  Schemas["DecisionIn"],
  {
    building: string | null;
    on_version: number;
    grade?: Building["grade"];
    outline?: Polygon;
    reason?: string;
  }
>;

/** How many buildings share a grade, a review state and a hundredth of the score. */
export type CountRow = Schemas["Count"];

export type ReviewedArea = Narrowed<Schemas["AreaOut"], { outline: Polygon }>;

/** What the page was rendered with. */
export interface AssessmentPage {
  id: string;
  scene: string;
  before_scene: string | null;
  bounds: Bounds | null;
  min_score: number;
  can_review: boolean;
  is_admin: boolean;
  user: string;
  user_id: number;
}
