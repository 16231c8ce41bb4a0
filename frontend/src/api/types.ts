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
    outlines?: readonly Polygon[];
    others?: readonly { building: string; on_version: number }[];
    area?: Polygon;
    shift_m?: readonly [number, number];
    because?: UnsureBecause;
    reason?: string;
  }
>;

/** Why a person could not judge a building. */
export type UnsureBecause = NonNullable<Building["unsure_because"]>;

/** What the server answers to a decision: the building that stands, and all others it touched. */
export type Decided = Building & { also?: readonly { uid: string; version: number }[] };

/** What the server answers to one of several decisions. */
export type Outcome = Narrowed<
  Schemas["OutcomeOut"],
  { decided: Decided | null; building: Building | null }
>;

/** What the stream says of a decision; `also` names what else it touched, `more` counts the rest. */
export interface DecisionNews {
  building: string;
  version: number;
  also?: readonly { uid: string; version: number }[];
  more?: number;
}

/** How many buildings share a grade, a review state and a hundredth of the score. */
export type CountRow = Schemas["Count"];

export type ReviewedArea = Narrowed<Schemas["AreaOut"], { outline: Polygon }>;

/** Why ground cannot be assessed. */
export type AreaBecause = NonNullable<ReviewedArea["because"]>;

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
