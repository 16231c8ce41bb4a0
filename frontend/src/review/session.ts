/**
 * One person's review of one assessment: what is picked, what is being drawn, what waits to be saved.
 * It asks the server, and speaks to the map through `Sight` and `Pen`; panels only watch its state.
 */
import type { Polygon } from "geojson";

import * as api from "../api/assessments";
import { Refused } from "../api/client";
import type {
  Assessment,
  AssessmentPage,
  Building,
  CountRow,
  DecisionKind,
  Draft,
  ReviewedArea,
} from "../api/types";
import { areaM2, boundsOf, checkOutline, type Bounds } from "../geo/outline";
import { GRADE_NAMES, type Grade } from "../geo/grades";
import { KIND_NAMES, foretell } from "./decisions";
import { createOutbox, type Answer, type Waiting } from "./outbox";
import { nextToReview } from "./queue";
import { createStore, type Store } from "./store";

export interface View {
  minScore: number;
  opacity: number;
  showRejected: boolean;
}

/** What the session needs of a map. */
export interface Sight {
  put(building: Building): void;
  drop(uid: string): void;
  lift(uid: string | null): void;
  select(uid: string | null): void;
  look(view: View): void;
  reload(): void;
  showAreas(areas: readonly ReviewedArea[]): void;
  showGaps(gaps: api.Gaps): void;
  /** Bring it into view; `close` enough to draw on. */
  goTo(bounds: Bounds, close: boolean): void;
  /** To where it was before it went close. */
  stepBack(): void;
  bounds(): Bounds;
  centre(): readonly [number, number];
}

export interface DrawingTool {
  draw(onOutline: (outline: Polygon) => void): void;
  edit(outline: Polygon, onOutline: (outline: Polygon) => void): void;
  putDown(): void;
}

export type Drawing =
  | { is: "redraw"; building: Building; outline: Polygon | null }
  | { is: "add"; grade: Grade | null; outline: Polygon | null }
  | { is: "area"; outline: Polygon | null };

export interface Conflict {
  draft: Draft;
  theirs: Building;
  message: string;
}

export interface Message {
  text: string;
  bad: boolean;
}

export interface ReviewState {
  progress: Assessment | null;
  connected: boolean;
  counts: readonly CountRow[] | null;
  view: View;
  picked: Building | null;
  opening: boolean;
  drawing: Drawing | null;
  saving: boolean;
  waiting: readonly Waiting[];
  conflict: Conflict | null;
  areas: readonly ReviewedArea[];
  /** Ground that was not looked at; null until it is known. */
  gaps: api.Gaps | null;
  listed: readonly api.Listed[] | null;
  /** Where the list goes on; null when it is whole. */
  listGoesOn: string | null;
  message: Message | null;
  undoable: readonly { uid: string; decision: string }[];
  keysOn: boolean;
  advance: boolean;
}

export type Session = ReturnType<typeof createSession>;

const NEAREST_AT_MOST = 2000; // what the server gives at once
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

  const refreshList = async (): Promise<void> => {
    if (!sight || store.now.progress?.state !== "done") return;
    try {
      const { rows, next } = await api.listBuildings(page.id, sight.bounds());
      store.set({ listed: rows, listGoesOn: next });
    } catch (error) {
      fail(error);
    }
  };

  const listMore = async (): Promise<void> => {
    const { listed, listGoesOn } = store.now;
    if (!listed || !listGoesOn) return;
    try {
      const { rows, next } = await api.listMore(listGoesOn);
      if (store.now.listed === listed) store.set({ listed: [...listed, ...rows], listGoesOn: next });
    } catch (error) {
      fail(error);
    }
  };

  const refreshAreas = async (): Promise<void> => {
    try {
      const areas = await api.reviewedAreas(page.id);
      store.set({ areas });
      sight?.showAreas(areas);
    } catch (error) {
      fail(error);
    }
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

  const next = async (): Promise<void> => {
    if (!sight || store.now.drawing) return;
    const { picked, view } = store.now;
    store.set({ opening: true }); // a second key press must not decide on the same building again
    const from = picked ? middle(boundsOf(picked.outline)) : sight.centre();
    const waiting = store.now.waiting.map(({ draft }) => draft.building);
    const skip = new Set([picked?.uid, ...waiting].filter((uid) => uid != null));
    const found = await nearest(from, view.minScore, skip);
    if (!found) {
      await pick(null);
      return say("Nothing is left to review at this score. Lower the score, or download the result.");
    }
    if (!inside(found.bounds, sight.bounds())) sight.goTo(found.bounds, false);
    await pick(found.uid);
  };

  /** The server knows all of them; without a connection, the list of what is in view must do. */
  const nearest = async (
    from: readonly [number, number],
    minScore: number,
    skip: ReadonlySet<string>,
  ): Promise<api.Listed | undefined> => {
    try {
      const limit = Math.min(skip.size + 1, NEAREST_AT_MOST);
      const all = await api.unreviewedNear(page.id, from, minScore, limit);
      return nextToReview(all, from, minScore, skip);
    } catch (error) {
      fail(error);
      return nextToReview(store.now.listed ?? [], from, minScore, skip);
    }
  };

  const decide = (kind: "accept" | "reject" | "regrade", grade?: Grade): void => {
    const { picked, opening, drawing, advance } = store.now;
    if (!picked || opening || drawing || !page.can_review) return;
    send(picked, kind, grade ? { grade } : {});
    say(kind === "regrade" && grade ? `Regraded: ${GRADE_NAMES[grade]}.` : `Building ${KIND_NAMES[kind]}.`);
    if (advance) void next();
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

  const startDrawing = (drawing: Drawing): void => {
    if (!pen || store.now.drawing) return;
    if (drawing.is !== "redraw") void pick(null);
    store.set({ drawing, message: null });
    const hear = (outline: Polygon): void => {
      if (store.now.drawing) store.set({ drawing: { ...store.now.drawing, outline } });
    };
    if (drawing.is === "redraw") {
      sight?.lift(drawing.building.uid);
      sight?.goTo(boundsOf(drawing.building.outline), true);
      pen.edit(drawing.building.outline, hear);
    } else {
      pen.draw(hear);
    }
  };

  const stopDrawing = (): void => {
    pen?.putDown();
    sight?.lift(null);
    sight?.stepBack();
    store.set({ drawing: null, saving: false });
  };

  const saveDrawing = async (): Promise<void> => {
    const { drawing } = store.now;
    if (!drawing?.outline) return;
    const check = checkOutline(drawing.outline);
    if (!check.ok) return say(check.message, true);
    if (drawing.is === "area") return saveArea(drawing.outline);
    if (drawing.is === "add" && !drawing.grade) return say("Choose a grade first.", true);
    stopDrawing();
    if (drawing.is === "redraw") send(drawing.building, "redraw", { outline: drawing.outline });
    else if (drawing.grade) addBuilding(drawing.outline, drawing.grade);
  };

  const addBuilding = (outline: Polygon, grade: Grade): void => {
    const draft: Draft = {
      id: crypto.randomUUID(), kind: "add", building: null, on_version: 0, grade, outline,
    };
    sight?.put({
      uid: draft.id, grade, outline, review: "added", source: "analyst", version: 1,
      score: null, grade_score: null, probabilities: null, model_grade: null, clipped: false,
      unclassified_because: null,
      area_m2: areaM2(outline), updated_by: page.user, updated_at: new Date().toISOString(),
      history: [],
    });
    outbox.add(draft);
  };

  const saveArea = async (outline: Polygon): Promise<void> => {
    store.set({ saving: true });
    try {
      await api.addReviewedArea(page.id, outline);
      stopDrawing();
      await refreshAreas();
      say("Area marked as fully reviewed.");
    } catch (error) {
      store.set({ saving: false }); // the drawing stays, so nothing is lost
      fail(error);
    }
  };

  const removeArea = async (id: string): Promise<void> => {
    try {
      await api.removeReviewedArea(id);
      await refreshAreas();
      say("The mark is removed. The decisions inside stay.");
    } catch (error) {
      fail(error);
    }
  };

  const setUrgent = async (urgent: boolean): Promise<void> => {
    try {
      store.set({ progress: await api.setUrgent(page.id, urgent) });
    } catch (error) {
      fail(error);
    }
  };

  const retryShard = async (index: number): Promise<void> => {
    try {
      store.set({ progress: await api.retryShard(page.id, index) });
      say(`Shard ${index + 1} is done anew. The others are kept.`);
    } catch (error) {
      fail(error);
    }
  };

  const cancel = async (): Promise<void> => {
    try {
      store.set({ progress: await api.cancel(page.id) });
      say("Cancelled. Workers stop after the tile they are on; nothing is kept.");
    } catch (error) {
      fail(error);
    }
  };

  /** Everything may have changed: read it all again. */
  const reload = (): void => {
    known.clear();
    sight?.reload();
    recount();
    void refreshAreas();
    void refreshList();
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

  return {
    store,
    page,
    /** Give the session its map; until then it only follows the progress. */
    see(theSight: Sight, thePen: DrawingTool): void {
      sight = theSight;
      pen = thePen;
      sight.look(store.now.view);
      sight.showAreas(store.now.areas);
      if (store.now.gaps) sight.showGaps(store.now.gaps);
      outbox.resume();
      void refreshList();
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
    refreshAreas,
    refreshList,
    listMore,
    pick,
    next,
    decide,
    undo,
    cancel,
    setUrgent,
    retryShard,
    removeArea,
    redraw(): void {
      const { picked } = store.now;
      if (picked && page.can_review) startDrawing({ is: "redraw", building: picked, outline: null });
    },
    add(): void {
      if (page.can_review) startDrawing({ is: "add", grade: null, outline: null });
    },
    markArea(): void {
      if (page.can_review) startDrawing({ is: "area", outline: null });
    },
    chooseGrade(grade: Grade): void {
      const { drawing } = store.now;
      if (drawing?.is === "add") store.set({ drawing: { ...drawing, grade } });
    },
    saveDrawing,
    stopDrawing,
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

const middle = ([west, south, east, north]: Bounds): readonly [number, number] => [
  (west + east) / 2,
  (south + north) / 2,
];

const inside = (inner: Bounds, outer: Bounds): boolean =>
  inner[0] >= outer[0] && inner[1] >= outer[1] && inner[2] <= outer[2] && inner[3] <= outer[3];

const newest = ({ history }: Building) =>
  history.reduce<Building["history"][number] | undefined>(
    (latest, one) => (latest && latest.number > one.number ? latest : one),
    undefined,
  );
