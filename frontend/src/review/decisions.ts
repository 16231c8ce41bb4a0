/** What a decision makes of a building, before the server has said so. */
import type { Building, DecisionKind, Draft, Review, UnsureBecause } from "../api/types";

const REVIEW_AFTER: Partial<Record<DecisionKind, Review>> = {
  accept: "accepted",
  reject: "rejected",
  regrade: "regraded",
  redraw: "redrawn",
  add: "added",
  unsure: "unsure",
  split: "replaced",
  merge: "redrawn",
};

/** The building as it will be if the server agrees; an undo is not foretold. */
export function foretell(building: Building, draft: Draft): Building {
  if (draft.kind === "undo") return building;
  return {
    ...building,
    grade: draft.grade ?? (draft.kind === "unsure" ? "unclassified" : building.grade),
    outline: draft.outline ?? building.outline,
    review: REVIEW_AFTER[draft.kind] ?? building.review,
    flagged: draft.kind === "flag" || (building.flagged && draft.kind !== "unflag"),
    unsure_because: draft.because ?? (draft.grade ? null : building.unsure_because),
    version: draft.on_version + 1,
  };
}

export const KIND_NAMES: Record<DecisionKind, string> = {
  accept: "accepted",
  reject: "rejected",
  regrade: "regraded",
  redraw: "redrawn",
  add: "added",
  unsure: "not sure",
  flag: "flagged for a second look",
  unflag: "no second look needed",
  split: "split",
  merge: "merged",
  shift: "moved",
  undo: "undone",
};

export const REVIEW_NAMES: Record<Review, string> = {
  unreviewed: "Not reviewed",
  accepted: "Accepted",
  regraded: "Regraded",
  redrawn: "Redrawn",
  added: "Added by hand",
  rejected: "Rejected: no building",
  unsure: "Not sure: cannot be judged",
  replaced: "Split or merged away",
};

export const UNSURE: Record<UnsureBecause, string> = {
  cloud: "Cloud",
  shadow: "Shadow",
  hidden: "Hidden by something",
  bad_image: "Bad image",
  no_before: "No image before",
  other: "Another reason",
};
