/**
 * Somebody else was quicker: what the person compares, and what puts theirs on top of it. Pure.
 * Of a merge it may be a part that was changed; then the part is compared, not the whole with it.
 */
import type { Building, Draft } from "../api/types";
import type { Grade } from "../geo/grades";
import type { Polygon } from "geojson";
import { foretell } from "./decisions";
import type { Clash, Entry } from "./log/ledger";
import { away } from "./standIns";

/** One building three times over. */
export interface Sides {
  /** As the person saw it; null where an old page did not keep it. */
  readonly base: Building | null;
  readonly mine: Building;
  readonly theirs: Building;
  /** What it becomes a part of; null where it is itself what the person decided on. */
  readonly whole: { readonly grade: Grade | null; readonly outline: Polygon } | null;
}

export function sidesOf({ uid, base, mine, theirs }: Clash): Sides {
  const wanted = mine.reduce((now, { draft }) => foretell(now, draft), base ?? theirs);
  if (uid === theirs.uid) return { base, mine: wanted, theirs, whole: null };
  const merge = mine.find((one) => joins(one, theirs.uid));
  // The merge was taken back before it was sent: nobody has changed what is left to decide
  if (!merge) return { base, mine: wanted, theirs: base ?? theirs, whole: null };
  const part = merge.parts?.find((one) => one.uid === theirs.uid) ?? null;
  const said = base !== null || mine.some(({ draft }) => draft.grade);
  const { grade, outline } = wanted;
  return { base: part, mine: away(part ?? theirs), theirs, whole: { grade: said ? grade : null, outline } };
}

/** One decision to be made anew. */
export interface Again {
  readonly draft: Draft;
  readonly base: Building | null;
  readonly parts?: readonly Building[];
}

/**
 * The same decisions on what the person has seen by now, and on nothing newer: what changed besides is
 * theirs to see first. `now`: the building decided on, with nobody's changes since but the person's.
 */
export function onTop(clash: Clash, now: Building | null): Again[] {
  let base = now;
  let version = now?.version ?? clash.mine[0]?.draft.on_version ?? 0;
  return clash.mine.map((entry) => {
    const on = base;
    const draft: Draft = {
      ...entry.draft, ...othersOn(entry, clash.theirs), ...gradeMeant(entry, on),
      id: crypto.randomUUID(), building: clash.uid, on_version: version,
    };
    version += 1;
    base = on && foretell(on, draft);
    const { theirs } = clash;
    const parts = entry.parts?.map((part) => (part.uid === theirs.uid ? theirs : part));
    return { draft, base: on, ...(parts ? { parts } : {}) };
  });
}

const joins = ({ draft }: Entry, uid: string): boolean =>
  draft.others?.some(({ building }) => building === uid) ?? false;

function othersOn({ draft: { others } }: Entry, { uid, version }: Building): Pick<Draft, "others"> {
  if (!others) return {};
  return { others: others.map((one) => (one.building === uid ? { ...one, on_version: version } : one)) };
}

/**
 * The grade that was meant, where the decision does not name it and theirs would pass for it: to accept
 * was to say that the grade as seen is right, and a merge without a grade had parts of one.
 */
function gradeMeant({ draft, base }: Entry, on: Building | null): Pick<Draft, "grade"> | Pick<Draft, "grade" | "kind"> {
  const grade = draft.grade ?? base?.grade;
  if (!grade) return {};
  if (draft.kind === "merge") return { grade };
  return draft.kind === "accept" && on && on.grade !== grade ? { kind: "regrade", grade } : {};
}
