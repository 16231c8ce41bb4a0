/** What a decision makes of a building, before the server has said so. */
import type { Building, DecisionKind, Draft, Review } from "../api/types";

const REVIEW_AFTER: Record<Exclude<DecisionKind, "undo">, Review> = {
  accept: "accepted",
  reject: "rejected",
  regrade: "regraded",
  redraw: "redrawn",
  add: "added",
};

/** The building as it will be if the server agrees; an undo is not foretold. */
export function foretell(building: Building, draft: Draft): Building {
  if (draft.kind === "undo") return building;
  return {
    ...building,
    grade: draft.grade ?? building.grade,
    outline: draft.outline ?? building.outline,
    review: REVIEW_AFTER[draft.kind],
    version: draft.on_version + 1,
  };
}

export const KIND_NAMES: Record<DecisionKind, string> = {
  accept: "accepted",
  reject: "rejected",
  regrade: "regraded",
  redraw: "redrawn",
  add: "added",
  undo: "undone",
};

export const REVIEW_NAMES: Record<Review, string> = {
  unreviewed: "Not reviewed",
  accepted: "Accepted",
  regraded: "Regraded",
  redrawn: "Redrawn",
  added: "Added by hand",
  rejected: "Rejected: no building",
};
