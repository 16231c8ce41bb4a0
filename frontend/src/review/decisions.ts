/** What a decision makes of a building, before the server has said so. */
import type { Building, DecisionKind, Draft, Review } from "../api/types";

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

/** The building as it will be if the server agrees; `before` is what an undo brings back. */
export function foretell(building: Building, draft: Draft, before: Building | null = null): Building {
  const { kind } = draft;
  const version = draft.on_version + 1;
  if (kind === "undo") {
    return before ? { ...before, history: building.history, version } : building;
  }
  const added = building.source === "analyst" && kind !== "reject" && kind !== "split";
  const review = added ? "added" : (REVIEW_AFTER[kind] ?? building.review);
  return {
    ...building,
    grade: draft.grade ?? (kind === "unsure" ? "unclassified" : building.grade),
    outline: draft.outline ?? building.outline,
    review,
    version,
    flagged: kind === "flag" || (building.flagged && kind !== "unflag"),
    unsure_because: draft.because ?? (draft.grade ? null : building.unsure_because),
  };
}

export const KIND_NAMES: Record<DecisionKind, string> = {
  accept: "accepted",
  reject: "rejected",
  regrade: "regraded",
  redraw: "redrawn",
  add: "added",
  undo: "undone",
  unsure: "marked unsure",
  flag: "flagged for a second look",
  unflag: "no longer flagged",
  split: "split",
  merge: "merged",
  shift: "shifted",
};

export const REVIEW_NAMES: Record<Review, string> = {
  unreviewed: "Not reviewed",
  accepted: "Accepted",
  regraded: "Regraded",
  redrawn: "Redrawn",
  added: "Added by hand",
  rejected: "Rejected: no building",
  unsure: "Unsure: cannot be judged",
  replaced: "Split or merged away",
};
