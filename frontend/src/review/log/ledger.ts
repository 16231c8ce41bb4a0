/**
 * What the log in this browser holds, and what follows from it: what is not saved, what can be undone
 * or redone, what needs the person. Pure: everything is worked out from entries, outcomes and ends.
 */
import type { Building, Draft } from "../../api/types";

/** What can be kept and sent: its own id, and what it is about. Entries of one `building` stay in order. */
export interface Sent {
  readonly id: string;
  readonly kind: string;
  readonly building: string | null;
  readonly on_version: number;
}

/** What an entry is to undo and redo; `of` is the decision that it takes back or repeats. */
export type Act = { readonly is: "do" } | { readonly is: "undo" | "redo"; readonly of: string };

/** One decision as it was made. Written once, never changed. */
export interface Entry<D extends Sent = Draft> {
  /** Its place in the log, given by the database; Infinity until then. */
  readonly seq: number;
  /** Its id; of an answer, the name of what it was given in. */
  readonly assessment: string;
  /** Id of the user who decided. */
  readonly user: number;
  readonly made_at: string;
  /** What was decided, with its own id and the version it was made on. */
  readonly draft: D;
  /** The building as the person saw it; null for one to add, and where an old page did not keep it. */
  readonly base: Building | null;
  /** What a merge joins to it, as the person saw it; an old page did not keep it. */
  readonly parts?: readonly Building[];
  readonly act: Act;
  /** Not sent before it is that old, so that it can be taken back; in milliseconds. */
  readonly hold_ms?: number;
}

export interface Version {
  readonly uid: string;
  readonly version: number;
}

/**
 * What became of an entry. Written once. `fell`: it stood on one that did not hold; `taken`: the person
 * took it back before it was sent.
 */
export type Outcome =
  | { readonly id: string; readonly is: "saved"; readonly at: string; readonly made: Version | null }
  | { readonly id: string; readonly is: "conflict"; readonly at: string; readonly theirs: Building }
  | { readonly id: string; readonly is: "fell"; readonly at: string; readonly on: string }
  | { readonly id: string; readonly is: "refused"; readonly at: string; readonly message: string }
  | { readonly id: string; readonly is: "taken"; readonly at: string };

/** What the person made of an outcome that needed them, or of an act that can no longer be undone. */
export interface End {
  readonly id: string;
  readonly choice: "mine" | "theirs" | "seen" | "passed";
  readonly at: string;
}

/** A piece of the log, such as what has just been added. */
export interface Piece<D extends Sent = Draft> {
  readonly entries?: readonly Entry<D>[];
  readonly outcomes?: readonly Outcome[];
  readonly ends?: readonly End[];
}

/** Decisions of one person on one building that somebody else changed meanwhile. */
export interface Clash<D extends Sent = Draft> {
  readonly uid: string;
  /** In their order: the first was refused, the others stood on it. */
  readonly mine: readonly Entry<D>[];
  /** Every id that the choice ends. */
  readonly ids: readonly string[];
  readonly base: Building | null;
  readonly theirs: Building;
}

export interface Refusal<D extends Sent = Draft> {
  readonly entry: Entry<D>;
  readonly message: string;
}

export const UNDO_AT_MOST = 500;

/** The log of one assessment as this page knows it. */
export class Ledger<D extends Sent = Draft> {
  private readonly entries = new Map<string, Entry<D>>();
  private readonly outcomes = new Map<string, Outcome>();
  private readonly ends = new Map<string, End>();

  /** Take in what was added, here or in another tab. Taking it in twice changes nothing. */
  add({ entries = [], outcomes = [], ends = [] }: Piece<D>): void {
    for (const one of entries) this.entries.set(one.draft.id, one);
    for (const one of outcomes) this.outcomes.set(one.id, one);
    for (const one of ends) this.ends.set(one.id, one);
  }

  /** Forget what could not be kept. */
  drop({ entries = [], ends = [] }: Piece<D>): void {
    for (const { draft } of entries) this.entries.delete(draft.id);
    for (const { id } of ends) this.ends.delete(id);
  }

  entry(id: string): Entry<D> | undefined {
    return this.entries.get(id);
  }

  outcome(id: string): Outcome | undefined {
    return this.outcomes.get(id);
  }

  all(): Entry<D>[] {
    // A stable sort: those without a place yet stay at the end, in the order they were made.
    return [...this.entries.values()].sort((a, b) => (a.seq === b.seq ? 0 : a.seq - b.seq));
  }

  /** What the server has not answered. */
  waiting(): Entry<D>[] {
    return this.all().filter(({ draft }) => !this.outcomes.has(draft.id));
  }

  /** What was decided and, as far as is known, holds. */
  held(): Entry<D>[] {
    return this.all().filter(({ draft }) => {
      const is = this.outcomes.get(draft.id)?.is;
      return is === undefined || is === "saved";
    });
  }

  stack(): { undo: Entry<D>[]; redo: Entry<D>[] } {
    let undo: Entry<D>[] = [];
    let redo: Entry<D>[] = [];
    for (const entry of this.all()) {
      const { act, draft } = entry;
      const is = this.outcomes.get(draft.id)?.is;
      const holds = is === undefined || is === "saved";
      if (act.is === "do") {
        if (!holds) continue;
        undo.push(entry);
        redo = [];
      } else if (act.is === "undo") {
        const taken = undo.find((one) => one.draft.id === act.of);
        undo = undo.filter((one) => one !== taken);
        if (taken && holds) redo.push(taken);
      } else {
        const repeated = redo.find((one) => one.draft.id === act.of);
        redo = redo.filter((one) => one !== repeated);
        if (repeated && holds) undo.push(entry);
      }
    }
    const passed = ({ draft }: Entry<D>): boolean => this.ends.get(draft.id)?.choice === "passed";
    return {
      undo: undo.filter((one) => !passed(one)).slice(-UNDO_AT_MOST),
      redo: redo.filter((one) => !passed(one)).slice(-UNDO_AT_MOST),
    };
  }

  /** The building an entry is about; of one to add, once the server has named it. */
  target({ draft, act }: Entry<D>): string | null {
    if (draft.building !== null) return draft.building;
    const outcome = this.outcomes.get(draft.id);
    if (outcome?.is === "saved" && outcome.made) return outcome.made.uid;
    const of = act.is === "do" ? undefined : this.entries.get(act.of);
    return of ? this.target(of) : null;
  }

  /** Whose chain of entries an entry belongs to: its building, or the decision that adds it. */
  private chainOf(entry: Entry<D>): string {
    const { draft, act } = entry;
    const of = act.is === "do" ? undefined : this.entries.get(act.of);
    return this.target(entry) ?? (draft.building === null && of ? this.chainOf(of) : draft.id);
  }

  /**
   * The version that a building has after all of ours, if nobody else has changed it since `act`.
   * Null if somebody has: what we knew then no longer stands.
   */
  versionSince(act: Entry<D>): number | null {
    const chain = this.chainOf(act);
    const ours = this.held().filter((one) => this.chainOf(one) === chain);
    let expected: number | null = null;
    let begun = false;
    for (const one of ours) {
      begun ||= one === act || one.draft.id === act.draft.id;
      if (!begun) continue;
      if (expected !== null && versionBefore(one) !== expected) return null;
      expected = versionBefore(one) + 1;
    }
    return expected;
  }

  /** The version that a building has once what we decided on this one, and on that, holds. */
  versionOver(uid: string, version: number): number {
    return this.held().reduce(
      (now, { draft }) => (draft.building === uid && draft.on_version === now ? now + 1 : now),
      version,
    );
  }

  /** Where somebody else was quicker, oldest first; what has been chosen is left out. */
  clashes(): Clash<D>[] {
    const groups = new Map<string, Entry<D>[]>();
    const theirs = new Map<string, Building>();
    for (const entry of this.all()) {
      const outcome = this.outcomes.get(entry.draft.id);
      if (!outcome || this.ends.has(entry.draft.id)) continue;
      if (outcome.is !== "conflict" && outcome.is !== "fell") continue;
      const uid = this.target(entry);
      if (uid === null) continue;
      if (outcome.is === "conflict") theirs.set(uid, outcome.theirs);
      groups.set(uid, [...(groups.get(uid) ?? []), entry]);
    }
    return [...groups].flatMap(([uid, entries]) => {
      const now = theirs.get(uid);
      if (!now) return [];
      const ids = entries.map(({ draft }) => draft.id);
      return [{ uid, mine: net(entries), ids, base: entries[0]?.base ?? null, theirs: now }];
    });
  }

  /** What the server refused, and stood on it, until the person has seen it. */
  refusals(): Refusal<D>[] {
    return this.all().flatMap((entry) => {
      const outcome = this.outcomes.get(entry.draft.id);
      if (!outcome || this.ends.has(entry.draft.id)) return [];
      if (outcome.is === "refused") return [{ entry, message: outcome.message }];
      const refused = outcome.is === "fell" && this.outcomes.get(outcome.on)?.is === "refused";
      return refused ? [{ entry, message: "It stood on a decision that was refused." }] : [];
    });
  }
}

/** The version an entry was made on; what adds a building makes its version 1. */
const versionBefore = ({ draft }: Entry<Sent>): number => draft.on_version;

/** Which of these are left to do again: an undone one and its undo cancel each other. */
export function net<D extends Sent>(entries: readonly Entry<D>[]): Entry<D>[] {
  let left: Entry<D>[] = [];
  for (const entry of entries) {
    const { act } = entry;
    if (act.is === "undo") left = left.filter(({ draft }) => draft.id !== act.of);
    else left.push(entry);
  }
  return left;
}
