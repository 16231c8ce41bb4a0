/**
 * One person's review of one assessment: what is picked, what is being drawn, what waits to be saved.
 * It asks the server, and speaks to the map through `Sight` and `Pen`; panels only watch its state.
 */
import * as api from "../api/assessments";
import { Refused } from "../api/client";
import type { Assessment, AssessmentPage, Building, DecisionKind, Draft } from "../api/types";
import { boundsOf, type Bounds } from "../geo/outline";
import { GRADE_NAMES, type Grade } from "../geo/grades";
import { createAreas } from "./areas";
import { KIND_NAMES, foretell } from "./decisions";
import { createDrawing } from "./drawing";
import { createJob } from "./job";
import { createLists } from "./lists";
import { createOutbox, type Answer, type Waiting } from "./outbox";
import type { Core, DrawingTool, ReviewState, Sight, View } from "./state";
import { createStore, type Store } from "./store";

export type Session = ReturnType<typeof createSession>;

const COUNT_AGAIN_MS = 250;

export function createSession(page: AssessmentPage) {
  const outboxKey = `outbox:${page.id}`;
  const store: Store<ReviewState> = createStore<ReviewState>({
    progress: null,
    connected: true,
    counts: null,
    view: { minScore: page.min_score, opacity: 0.3, showRejected: false },
    picked: null,
    opening: false,
    drawing: null,
    saving: false,
    waiting: [],
    conflict: null,
    areas: [],
    gaps: null,
    listed: null,
    listGoesOn: null,
    message: null,
    undoable: [],
    keysOn: true,
    advance: true,
  });
  /** The newest state of each building that this page has shown. */
  const known = new Map<string, Building>();
  let sight: Sight | null = null;
  let pen: DrawingTool | null = null;
  let countTimer: ReturnType<typeof setTimeout> | undefined;

  const versionOf = (uid: string): number => known.get(uid)?.version ?? 0;

  const say = (text: string, bad = false): void => store.set({ message: { text, bad } });
  const fail = (error: unknown): void => {
    if (!(error instanceof Refused)) throw error;
    say(error.message, true);
  };

  const show = (building: Building): void => {
    known.set(building.uid, building);
    sight?.put(building);
    const { picked, listed } = store.now;
    const { uid, grade, review } = building;
    store.set({
      picked: picked?.uid === uid ? building : picked,
      listed: listed?.map((one) => (one.uid === uid ? { ...one, grade, review } : one)) ?? null,
    });
  };

  const recount = (): void => {
    clearTimeout(countTimer);
    countTimer = setTimeout(() => {
      api.counts(page.id).then((counts) => store.set({ counts }), fail);
    }, COUNT_AGAIN_MS);
  };

  /** What is done does not change: asked once. */
  const fetchGaps = async (): Promise<void> => {
    if (store.now.gaps) return;
    try {
      const gaps = await api.gaps(page.id);
      store.set({ gaps });
      sight?.showGaps(gaps);
    } catch (error) {
      if (!(error instanceof Refused && error.code === "ground_unknown")) fail(error);
    }
  };

  const pick = async (uid: string | null): Promise<void> => {
    if (store.now.drawing) return;
    sight?.select(uid);
    if (uid === null) return store.set({ picked: null, opening: false });
    store.set({ opening: true });
    try {
      const fetched = await api.building(page.id, uid);
      const ours = known.get(uid);
      // A decision of ours may still be on its way: then ours is newer than the server's.
      const building =
        ours && ours.version > fetched.version ? { ...ours, history: fetched.history } : fetched;
      known.set(uid, building);
      store.set({ picked: building, opening: false });
    } catch (error) {
      store.set({ picked: null, opening: false });
      sight?.select(null);
      fail(error);
    }
  };

  const remember = (uid: string, decision: string): void =>
    store.set({ undoable: [...store.now.undoable, { uid, decision }] });

  /** What the server did not take cannot be undone. */
  const forget = (drafts: readonly Draft[]): void => {
    const gone = new Set(drafts.map(({ id }) => id));
    store.set({ undoable: store.now.undoable.filter(({ decision }) => !gone.has(decision)) });
  };

  const hearAnswer = (
    draft: Draft,
    answer: Exclude<Answer, { is: "unreachable" }>,
    dropped: Draft[],
  ): void => {
    if (answer.is === "saved") {
      if (draft.building === null) sight?.drop(draft.id);
      if (answer.building.version >= versionOf(answer.building.uid)) show(answer.building);
      if (draft.kind === "add") {
        remember(answer.building.uid, draft.id);
        void pick(answer.building.uid);
      }
      say(draft.kind === "undo" ? "Undone." : `Saved: ${KIND_NAMES[draft.kind]}.`);
    } else if (answer.is === "conflict") {
      forget([draft, ...dropped]);
      show(answer.theirs);
      const draftToRedo = dropped.at(-1) ?? draft;
      const { theirs, message } = answer;
      store.set({ conflict: { draft: draftToRedo, theirs, message }, message: null });
      void pick(theirs.uid);
    } else {
      forget([draft, ...dropped]);
      say(answer.message, true);
      if (draft.building !== null) void comeBack(draft.building);
      else sight?.drop(draft.id);
    }
    recount();
  };

  /** Show what the server has, after it refused what we had shown already. */
  const comeBack = async (uid: string): Promise<void> => {
    try {
      show(await api.building(page.id, uid));
    } catch (error) {
      fail(error);
    }
  };

  const outbox = createOutbox({
    send: (draft) => api.decide(page.id, draft),
    keep: (waiting) => localStorage.setItem(outboxKey, JSON.stringify(waiting)),
    kept: () => JSON.parse(localStorage.getItem(outboxKey) ?? "[]") as Waiting[],
    wait: (milliseconds) =>
      new Promise((resolve) => {
        setTimeout(resolve, milliseconds);
        addEventListener("online", () => resolve(), { once: true });
      }),
    onChange: (waiting) => store.set({ waiting }),
    onAnswer: hearAnswer,
  });

  const send = (building: Building, kind: DecisionKind, more: Partial<Draft> = {}): void => {
    const draft: Draft = {
      id: crypto.randomUUID(),
      kind,
      building: building.uid,
      on_version: known.get(building.uid)?.version ?? building.version,
      ...more,
    };
    if (kind !== "undo") {
      show(foretell(building, draft));
      remember(building.uid, draft.id);
    }
    outbox.add(draft);
  };

  const core: Core = {
    page, store, say, fail, show, pick, send,
    sight: () => sight,
    pen: () => pen,
    post: (draft) => outbox.add(draft),
  };
  const lists = createLists(core);
  const areas = createAreas(core);
  const drawing = createDrawing(core, areas.addArea);

  const decide = (kind: "accept" | "reject" | "regrade", grade?: Grade): void => {
    const { picked, opening, drawing, advance } = store.now;
    if (!picked || opening || drawing || !page.can_review) return;
    send(picked, kind, grade ? { grade } : {});
    say(kind === "regrade" && grade ? `Regraded: ${GRADE_NAMES[grade]}.` : `Building ${KIND_NAMES[kind]}.`);
    if (advance) void lists.next();
  };

  const undo = async (): Promise<void> => {
    const last = store.now.undoable.at(-1);
    if (!last) return say("Nothing of yours is left to undo on this page.");
    if (store.now.waiting.length) return say("Wait until everything is saved, then undo.");
    store.set({ undoable: store.now.undoable.slice(0, -1) });
    await pick(last.uid);
    const { picked } = store.now;
    if (!picked) return;
    if (newest(picked)?.id !== last.decision) {
      return say("Someone has changed this building since. Look at it before you change it back.", true);
    }
    send(picked, "undo");
  };

  /** Everything may have changed: read it all again. */
  const reload = (): void => {
    known.clear();
    sight?.reload();
    recount();
    void areas.refreshAreas();
    void lists.refreshList();
    void fetchGaps();
    const { picked } = store.now;
    if (picked) void pick(picked.uid);
  };

  const look = (change: Partial<View>): void => {
    const view = { ...store.now.view, ...change };
    store.set({ view });
    sight?.look(view);
  };

  const hearProgress = (progress: Assessment): void => {
    const was = store.now.progress?.state;
    store.set({ progress });
    // Known once it is planned: nothing below it was reported, so the slider begins there.
    if (progress.min_score !== null && progress.min_score > store.now.view.minScore) {
      look({ minScore: progress.min_score });
    }
    if (progress.state === "done" && was !== "done") {
      if (was !== undefined) say("Done. Click a building, or press N for the next one.");
      reload();
    }
  };

  outbox.resume();

  return {
    store,
    page,
    /** Give the session its map; until then all but drawing works without one. */
    see(theSight: Sight, thePen: DrawingTool): void {
      const { view, areas, gaps, waiting, picked } = store.now;
      sight = theSight;
      pen = thePen;
      sight.look(view);
      sight.showAreas(areas);
      if (gaps) sight.showGaps(gaps);
      for (const { draft } of waiting) {
        const building = draft.building === null ? undefined : known.get(draft.building);
        if (building) sight.put(building); // decided before there was a map, and not yet in its tiles
      }
      if (picked) {
        sight.select(picked.uid);
        sight.goTo(boundsOf(picked.outline), false);
      }
      void lists.refreshList();
    },
    hearProgress,
    hearConnection(is: boolean): void {
      const was = store.now.connected;
      store.set({ connected: is });
      if (is && !was && store.now.progress?.state === "done") reload();
    },
    /** Someone, perhaps ourselves, has decided on a building. */
    async hearDecision({ building, version }: { building: string; version: number }): Promise<void> {
      if (versionOf(building) >= version) return;
      if (store.now.waiting.some(({ draft }) => draft.building === building)) return;
      await comeBack(building);
      recount();
      if (store.now.picked?.uid === building) say("Someone has just changed this building.");
    },
    ...lists,
    ...areas,
    ...drawing,
    ...createJob(core),
    pick,
    decide,
    undo,
    look,
    /** Either do it again on top of the other person's version, or leave theirs. */
    settle(mine: boolean): void {
      const { conflict } = store.now;
      store.set({ conflict: null });
      if (!conflict) return;
      void pick(conflict.theirs.uid);
      if (!mine) return say("Left as the other person decided.");
      const { kind, grade, outline, reason } = conflict.draft;
      send(conflict.theirs, kind, {
        ...(grade ? { grade } : {}),
        ...(outline ? { outline } : {}),
        ...(reason ? { reason } : {}),
      });
    },
    goTo: (bounds: Bounds): void => sight?.goTo(bounds, false),
    setKeys: (keysOn: boolean): void => store.set({ keysOn }),
    setAdvance: (advance: boolean): void => store.set({ advance }),
  };
}

const newest = ({ history }: Building) =>
  history.reduce<Building["history"][number] | undefined>(
    (latest, one) => (latest && latest.number > one.number ? latest : one),
    undefined,
  );
