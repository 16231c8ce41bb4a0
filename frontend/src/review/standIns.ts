/**
 * What stands on the map until the server has answered: buildings that were added, the pieces of those
 * that were split; and what stands there no more, merged into another.
 * Pure: worked out from what waits, so that whatever becomes of it, they follow.
 */
import type { Polygon } from "geojson";

import type { Building, Draft } from "../api/types";
import type { Grade } from "../geo/grades";
import { areaM2 } from "../geo/outline";
import type { Entry } from "./log/ledger";

/** By an id of their own, which the server does not know; `by` made them. */
export function standIns(waiting: readonly Entry[], by: string): Map<string, Building> {
  const back = takenBack(waiting);
  const standing = waiting.filter(({ draft }) => !back.has(draft.id));
  const all = standing.flatMap(({ draft, base, made_at }) =>
    outlinesOf(draft, base).map(([uid, outline, grade]) => stub(uid, outline, grade, by, made_at)),
  );
  return new Map(all.map((building) => [building.uid, building]));
}

/** A building that what waits merges into another, or brings back out of it. */
export interface Merged {
  /** As it will be. */
  readonly is: Building;
  /** As it is if the server refuses. */
  readonly was: Building;
  /** Id of the last decision that says so. */
  readonly by: string;
}

/** By their ids; `made` finds a decision, answered or not, by its own. */
export function mergedAway(
  waiting: readonly Entry[],
  made: (id: string) => Entry | undefined,
): Map<string, Merged> {
  const all = new Map<string, Merged>();
  for (const { draft, act, parts = [] } of waiting) {
    const by = draft.id;
    for (const part of parts) {
      all.set(part.uid, { is: away(part), was: all.get(part.uid)?.was ?? part, by });
    }
    for (const part of (act.is === "undo" && made(act.of)?.parts) || []) {
      const before = all.get(part.uid);
      const merged = before?.is ?? away(part);
      const is = { ...part, version: merged.version + 1 };
      all.set(part.uid, { is, was: before?.was ?? merged, by });
    }
  }
  return all;
}

/** As it will be once it is merged into another. */
export const away = (part: Building): Building => ({
  ...part, review: "replaced", version: part.version + 1,
});

/** Ids of decisions of which an undo waits as well, unless they were done again since. */
function takenBack(waiting: readonly Entry[]): Set<string> {
  const back = new Set<string>();
  const first = new Map<string, string>(); // what was done again is the same addition
  for (const { draft, act } of waiting) {
    if (act.is === "do") continue;
    const of = first.get(act.of) ?? act.of;
    if (act.is === "undo") back.add(of);
    else if (draft.kind === "accept") {
      first.set(draft.id, of);
      back.delete(of);
    }
  }
  return back;
}

function outlinesOf(draft: Draft, base: Building | null): [string, Polygon, Grade][] {
  const { id, kind, outline, outlines, grade } = draft;
  if (kind === "add" && outline && grade) return [[id, outline, grade]];
  if (kind !== "split" || !base) return [];
  return (outlines ?? []).map((piece, at) => [`${id}:${at}`, piece, base.grade]);
}

function stub(uid: string, outline: Polygon, grade: Grade, by: string, made_at: string): Building {
  return {
    uid, grade, outline, review: "added", source: "analyst", version: 1,
    score: null, grade_score: null, probabilities: null, model_grade: null, clipped: false,
    unclassified_because: null, unsure_because: null, flagged: false,
    area_m2: areaM2(outline), updated_by: by, updated_at: made_at, history: [],
  };
}
