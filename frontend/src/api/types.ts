/** What the API sends, as the screens use it. */
import type { Polygon } from "geojson";

import type { Bounds } from "../geo/outline";
import type { Grade, ModelGrade } from "../geo/grades";

export type AssessmentState =
  | "waiting"
  | "planning"
  | "running"
  | "merging"
  | "done"
  | "failed"
  | "cancelled";

export interface Assessment {
  id: string;
  state: AssessmentState;
  tiles_total: number;
  tiles_done: number;
  shards_total: number;
  shards_done: number;
  footprints_found: number;
  seconds_left: number | null;
  failure_code: string;
  failure_message: string;
  cancel_requested?: boolean;
}

export type Review =
  | "unreviewed"
  | "accepted"
  | "regraded"
  | "redrawn"
  | "added"
  | "rejected";

export type DecisionKind = "accept" | "reject" | "regrade" | "redraw" | "add" | "undo";

/** One row of a building's history. */
export interface PastDecision {
  id: string;
  number: number;
  kind: DecisionKind;
  grade: Grade | null;
  reason: string;
  user: string | null;
  made_at: string;
  on_version: number;
}

/** The current state of one building. */
export interface Building {
  uid: string;
  grade: Grade;
  score: number | null;
  grade_score: number | null;
  probabilities: Partial<Record<ModelGrade, number>> | null;
  area_m2: number | null;
  review: Review;
  source: "model" | "analyst";
  version: number;
  outline: Polygon;
  updated_by?: string | null;
  updated_at?: string | null;
  history: PastDecision[];
}

/** What a person decides; `id` is made here, so that sending twice is harmless. */
export interface Draft {
  id: string;
  kind: DecisionKind;
  building: string | null;
  on_version: number;
  grade?: Grade;
  outline?: Polygon;
  reason?: string;
}

/** How many buildings share a grade, a review state and a hundredth of the score. */
export interface CountRow {
  grade: Grade;
  review: Review;
  source: "model" | "analyst";
  percent: number | null;
  count: number;
}

export interface ReviewedArea {
  id: string;
  outline: Polygon;
  user: string | null;
  made_at: string;
}

/** What the page was rendered with. */
export interface AssessmentPage {
  id: string;
  scene: string;
  before_scene: string | null;
  bounds: Bounds | null;
  min_score: number;
  can_review: boolean;
  synthetic: boolean;
}
