/**
 * What stands on the map until the server has answered: buildings that were added, and the pieces of
 * those that were split. Pure: worked out from what waits, so that whatever becomes of it, they follow.
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
