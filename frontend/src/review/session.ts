/**
 * One person's review of one assessment: what is picked, what is being drawn, what waits to be saved.
 * It asks the server, and speaks to the map through `Sight` and `Pen`; panels only watch its state.
 */
import * as api from "../api/assessments";
import { Refused } from "../api/client";
import type { PeerNews } from "../api/together";
import type { Assessment, AssessmentPage, Building, DecisionNews } from "../api/types";
import { boundsOf, type Bounds } from "../geo/outline";
import { GRADE_NAMES, type Grade } from "../geo/grades";
import { createAreas } from "./areas";
import { KIND_NAMES } from "./decisions";
import { createDrawing } from "./drawing";
import { createDesk } from "./desk";
import { createFollowing } from "./following";
import { createJob } from "./job";
import { createLists } from "./lists";
import { createMarks } from "./marks";
import { createPresence } from "./presence";
import { EMPTY_QUEUE, updated } from "./queue";
import { createSaving } from "./saving";
import type { Core, DrawingTool, ReviewState, Sight, View } from "./state";
import { createStore, type Store } from "./store";
import { withNewest } from "./table";
import { moved } from "./tally";
import { createTeams } from "./teams";

export type Session = ReturnType<typeof createSession>;

const MERGED_AWAY = "It is part of another building now. Take the merge back to pick it by itself.";
const COUNT_AGAIN_MS = 10_000; // what one sees oneself is counted here meanwhile

export function createSession(page: AssessmentPage) {
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
    trouble: null,
    waitingElsewhere: 0,
    cannotKeep: "",
    conflict: null,
    unsettled: 0,
    refusals: [],
    peers: [],
    areas: [],
    gaps: null,
    listed: null,
    listGoesOn: null,
    queue: EMPTY_QUEUE,
    people: [],
    drawingFilter: false,
    table: null,
    message: null,
    undoable: [],
    redoable: [],
    keysOn: true,
    advance: true,
  });
  /** The newest state of each building that this page has shown. */
  const known = new Map<string, Building>();
  let sight: Sight | null = null;
  let pen: DrawingTool | null = null;
  let wanted: string | null = null; // to be picked: an answer about another comes too late
  let countTimer: ReturnType<typeof setTimeout> | undefined;

  const versionOf = (uid: string): number => known.get(uid)?.version ?? 0;

  const say = (text: string, bad = false): void => store.set({ message: { text, bad } });
  const fail = (error: unknown): void => {
    if (!(error instanceof Refused)) throw error;
    say(error.message, true);
  };

  const learn = (buildings: readonly Building[]): readonly Building[] => {
    const learnt = buildings.map((fetched) => {
      const ours = known.get(fetched.uid);
      const newest = ours && ours.version > fetched.version ? ours : fetched;
      known.set(fetched.uid, newest);
      return newest;
    });
    return learnt.filter(({ uid }) => !saving.isAway(uid));
  };

  const show = (building: Building): void => {
    const before = known.get(building.uid);
    known.set(building.uid, building);
    sight?.put(building);
    const { picked, listed, counts, queue, table, view } = store.now;
    const { uid, grade, review } = building;
    store.set({
      picked: picked?.uid === uid ? building : picked,
      listed: listed?.map((one) => (one.uid === uid ? { ...one, grade, review } : one)) ?? null,
      counts: counts && moved(counts, before, building),
      queue: updated(queue, building, view.minScore),
      table: withNewest(table, building),
    });
    if (before?.review === "replaced" && review !== "replaced") lists.bringBack([uid]);
  };

  /** Soon, once for all decisions meanwhile; `now`: at once. */
  const recount = (now = false): void => {
    if (now) clearTimeout(countTimer);
    else if (countTimer !== undefined) return;
    countTimer = setTimeout(() => {
      countTimer = undefined;
      api.counts(page.id).then((counts) => store.set({ counts }), fail);
    }, now ? 0 : COUNT_AGAIN_MS);
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

  /** What is known shows at once, and its history is asked for behind. */
  const pick = async (uid: string | null): Promise<void> => {
    if (store.now.drawing) return uid === null ? undefined : drawing.join(uid);
    if (uid !== null && saving.standsIn(uid)) return say("It can be picked once it is saved.");
    if (uid !== null && saving.isAway(uid)) return say(MERGED_AWAY);
    wanted = uid;
    sight?.select(uid);
    if (uid === null) return store.set({ picked: null, opening: false });
    const there = known.get(uid);
    store.set(there ? { picked: there, opening: false } : { opening: true });
    try {
      const fetched = await api.building(page.id, uid);
      const ours = known.get(uid);
      // A decision of ours may still be on its way: then ours is newer than the server's.
      const building =
        ours && ours.version > fetched.version ? { ...ours, history: fetched.history } : fetched;
      if (there && building.version !== ours?.version) show(building);
      known.set(uid, building);
      if (wanted === uid) store.set({ picked: building, opening: false });
    } catch (error) {
      const ours = known.get(uid);
      if (ours && error instanceof Refused && error.passing) {
        if (wanted === uid) store.set({ picked: ours, opening: false }); // the history can wait
        return;
      }
      if (wanted === uid) {
        store.set({ picked: null, opening: false });
        sight?.select(null);
      }
      fail(error);
    }
  };

  /** Show what the server has, after it refused what we had shown already. */
  const comeBack = async (uid: string): Promise<void> => {
    try {
      show(await api.building(page.id, uid));
    } catch (error) {
      fail(error);
    }
  };

  const saving = createSaving({
    page, store, say, show, pick, comeBack, recount,
    relist: () => void lists.refreshList(),
    bringBack: (uids) => lists.bringBack(uids),
    sight: () => sight,
    known: (uid) => known.get(uid),
  });
  const { send, post } = saving;

  const core: Core = {
    page, store, say, fail, show, pick, send, post, learn,
    known: (uid) => known.get(uid),
    sight: () => sight,
    pen: () => pen,
  };
  const lists = createLists(core);
  const areas = createAreas(core);
  const teams = createTeams(core);
  const drawing = createDrawing(core, areas.addArea, teams.addArea);

  const decide = (kind: "accept" | "reject" | "regrade", grade?: Grade): void => {
    const { picked, opening, drawing, advance } = store.now;
    if (!picked || opening || drawing || !page.can_review) return;
    if (store.now.cannotKeep) return say(store.now.cannotKeep, true);
    send(picked, kind, grade ? { grade } : {});
    say(kind === "regrade" && grade ? `Regraded: ${GRADE_NAMES[grade]}.` : `Building ${KIND_NAMES[kind]}.`);
    if (advance) void lists.next();
  };

  const marks = createMarks(
    core,
    () => store.now.advance && void lists.next(),
    () => reload(),
  );

  /** Everything may have changed: read it all again. */
  const reload = (): void => {
    known.clear();
    sight?.reload();
    saving.showWaiting(); // the server's own do not have it yet
    recount(true);
    void lists.refreshQueue();
    void areas.refreshAreas();
    void lists.refreshList();
    void fetchGaps();
    const { picked } = store.now;
    if (picked) void pick(picked.uid);
  };

  const following = createFollowing({
    assessment: page.id,
    versionOf,
    comeBack,
    recount,
    reload: () => reload(),
    waits: (uid) => store.now.waiting.some(({ draft }) => draft.building === uid),
  });
  const presence = createPresence(core, following.hearLatest);
  void following.catchUp(); // from here on nothing is missed

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
    desk: createDesk(page.user),
    /** Give the session its map; until then all but drawing works without one. */
    see(theSight: Sight, thePen: DrawingTool): void {
      const { view, areas, gaps, picked, queue } = store.now; // some of it from before there was a map
      sight = theSight;
      pen = thePen;
      sight.look(view);
      sight.showAreas(areas);
      if (gaps) sight.showGaps(gaps);
      if (queue.filters.area) sight.showFilter(queue.filters.area);
      if (picked) {
        sight.select(picked.uid);
        sight.goTo(boundsOf(picked.outline), false);
      }
      saving.showWaiting();
      presence.moved();
      void lists.refreshList();
    },
    hearProgress,
    hearConnection(is: boolean): void {
      const was = store.now.connected;
      store.set({ connected: is });
      if (is && !was) void following.catchUp();
    },
    hearMissed: (): void => void following.catchUp(),
    hearPeer: (news: PeerNews): void => presence.hearPeer(news),
    moved: (): void => presence.moved(),
    /** Someone, perhaps ourselves, has decided on a building. */
    async hearDecision({ building, version, also = [], more = 0 }: DecisionNews): Promise<void> {
      const newer = also.filter(({ uid, version }) => versionOf(uid) < version);
      if (newer.length) void marks.catchUp(newer, more);
      if (versionOf(building) >= version) return;
      if (store.now.waiting.some(({ draft }) => draft.building === building)) return;
      await comeBack(building);
      recount();
      if (store.now.picked?.uid === building) say("Someone has just changed this building.");
    },
    ...lists,
    ...areas,
    ...drawing,
    teams,
    ...marks,
    ...createJob(core),
    pick,
    decide,
    ...saving,
    look,
    goTo: (bounds: Bounds): void => sight?.goTo(bounds, false),
    setKeys: (keysOn: boolean): void => store.set({ keysOn }),
    setAdvance: (advance: boolean): void => store.set({ advance }),
  };
}
