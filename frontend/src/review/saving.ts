/** Decisions of this person: kept in the browser first, sent, taken back, done again. */
import * as api from "../api/assessments";
import type { Building, DecisionKind, Draft } from "../api/types";
import { boundsOf, type Bounds } from "../geo/outline";
import { onTop } from "./clash";
import { KIND_NAMES, foretell } from "./decisions";
import { inBrowser, onWaking } from "./log/browser";
import { createKeeper } from "./log/keeper";
import type { Act, Clash, End, Entry } from "./log/ledger";
import type { Answer } from "./log/sender";
import { mergedAway, standIns, type Merged } from "./standIns";
import type { Core } from "./state";

/** What saving needs of the session besides what every part gets. */
interface Parts extends Pick<Core, "page" | "store" | "say" | "show" | "pick" | "sight"> {
  known(uid: string): Building | undefined;
  /** Show what the server has. */
  comeBack(uid: string): Promise<void>;
  recount(): void;
  /** Ask again which buildings are in view. */
  relist(): void;
  /** An undo has brought these back. */
  bringBack(uids: readonly string[]): void;
}

const CHANGED_SINCE = "Someone has changed this building since. Look at it before you change it back.";
const CANNOT_KEEP =
  "This browser can keep nothing (its storage is full or shut, as in a private window), so a decision " +
  "could be lost. Nothing is decided until it can: free some space or open the page in a normal window.";

export function createSaving(parts: Parts) {
  const { page, store, say, show, pick, sight, known } = parts;
  /** On the map in the place of what waits. */
  let standing = new Map<string, Building>();
  /** What waits merges them into others, or brings them back. */
  let merged = new Map<string, Merged>();
  const postponed = new Set<string>();

  const { tryNow, ...places } = inBrowser(page.user_id, "review");
  const keeper = createKeeper({
    ...places,
    assessment: page.id,
    send: (assessment, draft) => api.decide(assessment, page.user_id, draft),
    sendSeveral: (assessment, drafts) => api.decideSeveral(assessment, page.user_id, drafts),
    onTrouble: (trouble) => {
      const was = store.now.trouble;
      if (trouble?.why === was?.why) return;
      store.set({ trouble });
      if (trouble) say(trouble.message, true);
      else if (was) say("The connection is back; what waited is being saved.");
    },
    onAnswer: (entry, answer) => hearAnswer(entry, answer),
    onChange: () => follow(),
    onHeard: (entries) => foreshow(entries),
    onBroken: (lost) => {
      store.set({ cannotKeep: CANNOT_KEEP });
      say(lost.length ? `Your last decision was not made. ${CANNOT_KEEP}` : CANNOT_KEEP, true);
      for (const { draft } of lost) if (draft.building !== null) void parts.comeBack(draft.building);
    },
    onElsewhere: (waitingElsewhere) => {
      if (waitingElsewhere !== store.now.waitingElsewhere) store.set({ waitingElsewhere });
    },
  });
  const { ledger } = keeper;

  /** Take from the log what the panels show. */
  const follow = (): void => {
    const waiting = ledger.waiting();
    const clashes = ledger.clashes();
    const empty = clashes.find(({ mine }) => mine.length === 0);
    const { undo, redo } = ledger.stack();
    const open = clashes.filter(({ mine, ids }) => mine.length > 0 && !postponed.has(ids[0] ?? ""));
    const same = open[0]?.ids.join() === store.now.conflict?.ids.join();
    store.set({
      waiting,
      undoable: undo,
      redoable: redo,
      refusals: ledger.refusals(),
      conflict: same ? store.now.conflict : (open[0] ?? null),
      unsettled: clashes.filter(({ mine }) => mine.length > 0).length,
    });
    standIn(waiting);
    takeAway(waiting);
    if (empty) leaveTheirs(empty);
  };

  /** Only an undo of ours met somebody's change: nothing of ours is left to choose. */
  const leaveTheirs = ({ ids, uid }: Clash): void => {
    keeper.keep([], endsOf(ids, "seen"));
    say(CHANGED_SINCE, true);
    goTo(uid);
  };

  /** Show decisions that were made elsewhere or before, and are not saved yet. */
  const foreshow = (entries: readonly Entry[]): void => {
    for (const entry of entries) {
      if (ledger.outcome(entry.draft.id)) continue;
      const { draft, base, act } = entry;
      if (!base || (known(base.uid)?.version ?? -1) > draft.on_version) continue;
      const before = act.is === "undo" ? (ledger.entry(act.of)?.base ?? null) : null;
      show(foretell(base, draft, before));
    }
  };

  const standIn = (waiting: readonly Entry[]): void => {
    const wanted = standIns(waiting, page.user);
    for (const uid of standing.keys()) if (!wanted.has(uid)) sight()?.drop(uid);
    for (const [uid, building] of wanted) if (!standing.has(uid)) sight()?.put(building);
    standing = wanted;
  };

  const takeAway = (waiting: readonly Entry[]): void => {
    const before = merged;
    merged = mergedAway(waiting, (id) => ledger.entry(id));
    for (const [uid, { is }] of merged) if (versionOf(uid) < is.version) show(is);
    for (const [uid, { is, was, by }] of before) {
      if (merged.has(uid) || ledger.outcome(by)?.is === "saved") continue;
      if (versionOf(uid) === is.version) show(was); // also where the server cannot be asked
      void parts.comeBack(uid);
    }
    withoutMerged();
  };

  /** A table goes by its rows: one that cannot be picked would hold it up. */
  const withoutMerged = (): void => {
    const { table } = store.now;
    const rows = table?.rows.filter(({ uid }) => !isAway(uid)) ?? [];
    if (table && rows.length < table.rows.length) store.set({ table: { ...table, rows } });
  };

  const versionOf = (uid: string): number => known(uid)?.version ?? -1;
  const isAway = (uid: string): boolean => merged.get(uid)?.is.review === "replaced";

  const hearAnswer = ({ draft, act }: Entry, answer: Exclude<Answer, { is: "away" }>): void => {
    if (answer.is === "saved") {
      const { building, also } = answer;
      if (building && building.version >= (known(building.uid)?.version ?? 0)) show(building);
      for (const { uid, version } of also) {
        if (version > (known(uid)?.version ?? 0)) void parts.comeBack(uid);
      }
      const { picked, drawing } = store.now;
      const made = draft.kind === "add" && !picked;
      const cut = draft.kind === "split" && picked?.uid === draft.building; // it is there no more
      if (building && !drawing && (made || cut)) void pick(building.uid);
      if (also.length) parts.relist(); // some are gone or came back, and the list may be older
      if (draft.kind === "undo") parts.bringBack(also.map(({ uid }) => uid));
      say(saved(draft.kind, act));
    } else if (answer.is === "conflict") {
      const { theirs } = answer;
      show(theirs);
      // Of a merge, it may be a part that they changed: the whole is not as we have shown it either.
      if (draft.building !== null && draft.building !== theirs.uid) void parts.comeBack(draft.building);
      void pick(theirs.uid);
    } else {
      say(answer.message, true);
      const uid = draft.building;
      if (uid !== null) void parts.comeBack(uid);
    }
    parts.recount();
  };

  const keep = (
    draft: Draft,
    base: Building | null,
    act: Act = { is: "do" },
    joined?: Entry["parts"],
  ): boolean => {
    if (store.now.cannotKeep) {
      say(store.now.cannotKeep, true);
      return false;
    }
    keeper.keep([entryOf(draft, base, act, joined)]);
    void keeper.written().then(tryNow);
    return true;
  };

  const entryOf = (
    draft: Draft,
    base: Building | null,
    act: Act,
    joined?: Entry["parts"],
  ): Entry => ({
    seq: Infinity,
    assessment: page.id,
    user: page.user_id,
    made_at: new Date().toISOString(),
    draft,
    base: base && { ...base, history: [] },
    ...(joined ? { parts: joined.map((one) => ({ ...one, history: [] })) } : {}),
    act,
  });

  const send = (
    building: Building,
    kind: DecisionKind,
    more: Partial<Draft> = {},
    joined?: readonly Building[],
  ): void => {
    const now = known(building.uid) ?? building;
    const draft: Draft = {
      id: crypto.randomUUID(), kind, building: building.uid, on_version: now.version, ...more,
    };
    if (keep(draft, now, { is: "do" }, joined)) show(foretell(now, draft));
  };

  const post = (draft: Draft): void => void keep(draft, null);

  /** Show the building, and the ground it stands on. */
  const goTo = (uid: string): void => {
    const building = known(uid);
    const map = sight();
    if (building && map) {
      const bounds = boundsOf(building.outline);
      if (!inside(bounds, map.bounds())) map.goTo(bounds, false);
    }
    void pick(uid);
  };

  /** The building and version that taking back, or doing again, `act` rests on; null: it cannot be. */
  const standsOn = (act: Entry): { uid: string | null; version: number } | null => {
    const uid = ledger.target(act);
    const { draft } = act;
    const wide = draft.building === null && draft.kind !== "add" && act.act.is === "do";
    const outcome = ledger.outcome(draft.id);
    const made = outcome?.is === "saved" ? outcome.made : null;
    const version = wide ? (made?.version ?? -1) : ledger.versionSince(act);
    if (version === null || (uid !== null && (known(uid)?.version ?? 0) > version)) return null;
    return { uid, version };
  };

  const pass = (act: Entry): void => {
    keeper.keep([], endsOf([act.draft.id], "passed"));
    say(CHANGED_SINCE, true);
    const uid = ledger.target(act);
    if (uid) goTo(uid);
  };

  const undo = (): void => {
    const act = store.now.undoable.at(-1);
    if (store.now.drawing || !page.can_review) return;
    if (!act) return say("Nothing of yours is left to undo here.");
    const on = standsOn(act);
    if (!on) return pass(act);
    const { uid, version } = on;
    const now = (uid && known(uid)) || null;
    const draft: Draft = { id: crypto.randomUUID(), kind: "undo", building: uid, on_version: version };
    if (!keep(draft, now ?? act.base, { is: "undo", of: act.draft.id })) return;
    const added = act.draft.kind === "add" && now ? { ...now, review: "rejected" as const } : null;
    const before = act.base ?? added;
    if (before && version >= 0) show(foretell(now ?? before, draft, before));
    if (uid) goTo(uid);
    say(`Taken back: ${KIND_NAMES[act.draft.kind]}.`);
  };

  const redo = (): void => {
    const act = store.now.redoable.at(-1);
    if (store.now.drawing || !page.can_review) return;
    if (!act) return say("Nothing is left to do again.");
    const on = standsOn(act);
    if (!on) return pass(act);
    const { uid, version } = on;
    const now = (uid && known(uid)) || null;
    const draft = again(act.draft, uid, version);
    if (!keep(draft, now ?? act.base, { is: "redo", of: act.draft.id }, asKnown(act.parts))) return;
    if (now) show(foretell(now, draft));
    if (uid) goTo(uid);
    say(`Done again: ${KIND_NAMES[act.draft.kind]}.`);
  };

  const asKnown = (parts: Entry["parts"]): Entry["parts"] => parts?.map((one) => known(one.uid) ?? one);

  /** The other buildings of a merge, at the versions that are known now. */
  const asTheyStand = ({ others }: Draft): Pick<Draft, "others"> =>
    others
      ? {
          others: others.map((one) => ({
            ...one,
            on_version: known(one.building)?.version ?? one.on_version,
          })),
        }
      : {};

  /** The same decision anew. An addition that was taken back is brought back, not added twice. */
  const again = (was: Draft, uid: string | null, version: number): Draft => {
    const id = crypto.randomUUID();
    if (was.kind === "add") return { id, kind: "accept", building: uid, on_version: version };
    const wide = was.building === null;
    return {
      ...was,
      id,
      building: wide ? null : uid,
      on_version: wide ? 0 : version,
      ...asTheyStand(was),
    };
  };

  /** Either do ours again on top of theirs, whatever stood on it included, or leave theirs. */
  const settle = (mine: boolean): void => {
    const { conflict } = store.now;
    if (!conflict) return;
    const { uid, theirs, ids } = conflict;
    const again = mine ? onTop(conflict, seenOf(conflict)) : [];
    const anew = again.map(({ draft, base, parts }) => entryOf(draft, base, { is: "do" }, parts));
    keeper.keep(anew, endsOf(ids, mine ? "mine" : "theirs"));
    const last = again.at(-1);
    if (last?.base) show(foretell(last.base, last.draft));
    else if (versionOf(theirs.uid) <= theirs.version) show(theirs);
    goTo(mine ? uid : theirs.uid);
    if (!mine) say("Left as the other person decided.");
  };

  /** The building decided on as the person has seen it: changed since by nobody else. */
  const seenOf = ({ uid, base, theirs }: Clash): Building | null => {
    const now = known(uid) ?? null;
    const seen = uid === theirs.uid ? theirs : base; // of a merge whose part was changed, the whole was not
    if (!seen || !now) return seen ?? now;
    return now.version === ledger.versionOver(uid, seen.version) ? now : seen;
  };

  const takeOldOutbox = (): Entry[] => {
    const text = localStorage.getItem(oldOutbox(page.id)) ?? "[]";
    return (JSON.parse(text) as { draft: Draft }[]).map(({ draft }) =>
      entryOf(draft, null, { is: "do" }),
    );
  };

  const begin = async (): Promise<void> => {
    if (await keeper.begin(takeOldOutbox())) localStorage.removeItem(oldOutbox(page.id));
  };

  const wake = (): void => {
    if (document.visibilityState !== "visible") return;
    void keeper.wake();
    tryNow();
  };

  onWaking(wake);
  addEventListener("beforeunload", (event) => {
    if (store.now.waiting.length) event.preventDefault();
  });
  void begin();

  return {
    send,
    post,
    undo,
    redo,
    settle,
    /** Choose later: it stays in the log, and the page says that it is there. */
    postpone(): void {
      const { conflict } = store.now;
      if (conflict) postponed.add(conflict.ids[0] ?? "");
      follow();
    },
    openConflicts(): void {
      postponed.clear();
      follow();
    },
    /** The person has read why these were refused. */
    dismissRefusals(): void {
      keeper.keep([], endsOf(store.now.refusals.map(({ entry }) => entry.draft.id), "seen"));
    },
    /** Look whether the browser can keep decisions again. */
    async tryKeeping(): Promise<void> {
      store.set({ cannotKeep: "" });
      await keeper.wake();
      if (!store.now.cannotKeep) say("Decisions can be kept again.");
    },
    sendNow: wake,
    /** A map has come: show on it what is not saved. */
    showWaiting(): void {
      foreshow(ledger.waiting());
      for (const building of standing.values()) sight()?.put(building);
      for (const [uid, { is }] of merged) if (versionOf(uid) <= is.version) show(is);
    },
    /** Whether it only stands in for what the server does not know yet. */
    standsIn: (uid: string): boolean => standing.has(uid),
    /** Whether it is merged into another building, which the server does not know yet. */
    isAway,
  };
}

const oldOutbox = (assessment: string): string => `outbox:${assessment}`;

const endsOf = (ids: readonly string[], choice: End["choice"]): End[] =>
  ids.map((id) => ({ id, choice, at: new Date().toISOString() }));

function saved(kind: DecisionKind, act: Act): string {
  if (kind === "undo") return "Undone.";
  return `${act.is === "redo" ? "Done again" : "Saved"}: ${KIND_NAMES[kind]}.`;
}

const inside = (inner: Bounds, outer: Bounds): boolean =>
  inner[0] >= outer[0] && inner[1] >= outer[1] && inner[2] <= outer[2] && inner[3] <= outer[3];
