/** What is listed: the queue with what comes next, the table, and the buildings in view. */
import * as api from "../api/assessments";
import { Refused } from "../api/client";
import { queueCount, queuePage, queuePeople, type QueuePage } from "../api/queue";
import type { Building } from "../api/types";
import { boundsOf, centreOf } from "../geo/outline";
import {
  appended, mustMove, NO_FILTERS, upcoming, wentTo,
  type Filters, type Order, type Queue,
} from "./queue";
import { createRounds, type Round } from "./rounds";
import type { Core } from "./state";
import { withBack, type Table } from "./table";

const PREFETCHED = 20;
const REFILL_BELOW = 10; // left: ten decisions take half a minute, an answer a second at worst
const AT_MOST = 200; // what the server gives at once
export const TABLE_ROWS = 100;
const SLIDER_RESTS_MS = 300;
const ORDER_AGAIN_MS = 5_000; // a worker needs some seconds to work out the order of a large one

export function createLists(core: Core) {
  const { page, store, sight, pen, say, fail, pick, learn } = core;
  const fillings = createRounds(); // of the queue, each from the start
  const looks = createRounds(); // at what is in view: where the map was before is not wanted any more
  const pages = createRounds(); // of the table
  let filling: Promise<void> | null = null;
  const returned = new Set<string>(); // stand again, and the table has yet to ask where
  let behind = false; // the map has moved, and the list could not follow

  const refreshList = async (): Promise<void> => {
    const bounds = sight()?.bounds() ?? page.bounds; // without a map, the whole image
    if (!bounds || store.now.progress?.state !== "done") return;
    const look = looks.next();
    try {
      const { rows, next } = await api.listBuildings(page.id, bounds);
      if (look.over) return;
      behind = false;
      store.set({ listed: rows, listGoesOn: next });
    } catch (error) {
      if (look.over) return;
      behind = true;
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

  const setQueue = (change: Partial<Queue>): void =>
    store.set({ queue: { ...store.now.queue, ...change } });

  /** Not to come up: what is looked at, what waits to be saved, and what was passed by. */
  const skipped = (): Set<string> => {
    const { picked, waiting, queue } = store.now;
    const waits = waiting.map(({ draft }) => draft.building);
    return new Set([picked?.uid, ...waits, ...queue.trail].filter((uid) => uid != null));
  };

  const coming = (): readonly Building[] =>
    upcoming(store.now.queue, store.now.view.minScore, skipped());

  const middle = (): readonly [number, number] => {
    const { picked } = store.now;
    if (picked) return centreOf(picked.outline);
    const [west, south, east, north] = page.bounds ?? [0, 0, 0, 0];
    return sight()?.centre() ?? [(west + east) / 2, (south + north) / 2];
  };

  /** Fetch what follows; `anew` from the start. One at a time. */
  const refill = (anew = false): Promise<void> => {
    if (!anew && filling) return filling;
    const mine = fill(anew, anew ? fillings.next() : fillings.now()).finally(() => {
      if (filling === mine) filling = null;
    });
    return (filling = mine);
  };

  const fill = async (anew: boolean, round: Round): Promise<void> => {
    const { queue, view } = store.now;
    const { filters, order } = queue;
    const near = order === "nearest" ? middle() : undefined;
    const cursor = anew || near ? undefined : (queue.cursor ?? undefined);
    const limit = near ? Math.min(PREFETCHED + skipped().size, AT_MOST) : PREFETCHED;
    setQueue(anew ? { is: "loading", items: [], cursor: "" } : { is: "loading" });
    try {
      const asked = { filters, minScore: view.minScore, order, near, cursor, limit };
      const found = await queuePage(page.id, asked);
      if (round.over) return;
      const fresh = learn(found.buildings);
      const kept = anew || near || !cursor ? [] : coming();
      setQueue({
        is: "ready", ordered: found.ordered, cursor: found.next, items: appended(kept, fresh),
      });
      if (!found.ordered) setTimeout(orderAgain, ORDER_AGAIN_MS, round);
    } catch (error) {
      if (round.over) return;
      setQueue({ is: "failed" });
      fail(error);
    }
  };

  /** The server has worked out meanwhile what is most worth a look. */
  const orderAgain = (round: Round): void => {
    if (!round.over && store.now.queue.order === "value") void refill(true);
  };

  const count = async (): Promise<void> => {
    const { filters } = store.now.queue;
    if (!filters.who && !filters.area) return setQueue({ count: null });
    const round = fillings.now();
    try {
      const found = await queueCount(page.id, filters, store.now.view.minScore);
      if (!round.over) setQueue({ count: found });
    } catch (error) {
      fail(error);
    }
  };

  /** Who has decided; asked whenever the filters are opened, for it grows. */
  const refreshPeople = async (): Promise<void> => {
    try {
      store.set({ people: await queuePeople(page.id) });
    } catch (error) {
      fail(error);
    }
  };

  const refreshQueue = async (): Promise<void> => {
    if (store.now.progress?.state !== "done") return;
    const filled = refill(true);
    void count();
    if (store.now.table) void turnTo({ ...store.now.table, cursors: [""] });
    await filled;
  };

  const filterQueue = (change: Partial<Filters>): void => {
    const filters = { ...store.now.queue.filters, ...change };
    if (filters.area !== store.now.queue.filters.area) sight()?.showFilter(filters.area);
    setQueue({ filters });
    void refreshQueue();
  };

  /** What the map shows follows at once; nothing here waits for the server. */
  const goTo = (uid: string, building: Building | undefined): Promise<void> => {
    const map = sight();
    const bounds = building && boundsOf(building.outline);
    if (map && bounds && mustMove(bounds, map.bounds())) map.goTo(bounds, false);
    return pick(uid);
  };

  const goOn = (building: Building): Promise<void> => {
    store.set({ queue: wentTo(store.now.queue, building.uid) });
    const gone = goTo(building.uid, building);
    const { queue } = store.now;
    const more = queue.cursor !== null || queue.order === "nearest";
    if (coming().length < REFILL_BELOW && more) void refill();
    return gone;
  };

  /** What comes once more was fetched; `again`: from the start, with those that were passed by. */
  const afterMore = async (again: boolean): Promise<Building | undefined> => {
    const { queue } = store.now;
    if (again) {
      if (queue.is === "failed") return undefined;
      if (queue.trail.length > 0) say("From the start again, with those you passed by.");
      setQueue({ trail: [], at: -1 });
    } else if (queue.cursor === null) return undefined;
    await refill(again);
    return coming()[0];
  };

  const next = async (): Promise<void> => {
    if (store.now.drawing) return;
    if (store.now.table) return nextRow(1);
    const { trail, at } = store.now.queue;
    const ahead = trail[at + 1];
    if (ahead !== undefined) {
      setQueue({ at: at + 1 });
      return goTo(ahead, core.known(ahead));
    }
    const [first] = coming();
    if (first) return goOn(first);
    store.set({ opening: true }); // a second key press must not decide on the same building again
    const found = (await afterMore(false)) ?? (await afterMore(true));
    if (found) return goOn(found);
    store.set({ opening: false });
    if (store.now.queue.is === "failed") return;
    await pick(null);
    say("Nothing is left in the queue. Lower the score, change the filters, or download the result.");
  };

  const previous = async (): Promise<void> => {
    if (store.now.drawing) return;
    if (store.now.table) return nextRow(-1);
    const { trail, at } = store.now.queue;
    // From a building that was picked by hand, back to where the queue was left
    const left = store.now.picked?.uid === trail[at] ? at - 1 : at;
    const uid = trail[left];
    if (uid === undefined) return say("This is where you began.");
    setQueue({ at: left });
    return goTo(uid, core.known(uid));
  };

  /** Draw the outline inside which to look; needs the map. */
  const drawFilter = (): void => {
    const tool = pen();
    if (!tool) return say("The map is not here yet. Draw the area once it is.", true);
    if (store.now.drawing) return say("Finish or stop the drawing first.", true);
    store.set({ drawingFilter: true });
    say("Draw the area on the map: click its corners, then the first one again.");
    tool.draw((area) => {
      if (!store.now.drawingFilter) return;
      stopFilter();
      filterQueue({ area });
      say("Only what lies in the area comes up now.");
    });
  };

  const stopFilter = (): void => {
    if (!store.now.drawingFilter) return;
    // The pen is still busy with the click that closed the outline.
    setTimeout(() => pen()?.putDown());
    store.set({ drawingFilter: false });
  };

  const turnTo = async (table: Table): Promise<void> => {
    const turn = pages.next();
    returned.clear(); // what came back before it is asked for is in it
    store.set({ table: { ...table, is: "loading" } });
    try {
      const found = await pageOf(table);
      if (turn.over || !store.now.table) return;
      store.set({ table: { ...table, is: "ready", rows: learn(found.buildings), next: found.next } });
      if (returned.size) void askForReturned();
    } catch (error) {
      if (turn.over || !store.now.table) return;
      store.set({ table: { ...table, is: "failed" } });
      fail(error);
    }
  };

  const pageOf = (table: Table): Promise<QueuePage> =>
    queuePage(page.id, {
      filters: store.now.queue.filters, minScore: store.now.view.minScore, order: table.order,
      cursor: table.cursors.at(-1), limit: TABLE_ROWS,
    });

  /**
   * These stand again that were merged into another. An open table asks where; its other rows stay
   * where they are, for somebody is going through them.
   */
  const bringBack = (uids: readonly string[]): void => {
    const { table } = store.now;
    if (!table) return; // it asks when it is opened
    for (const uid of uids) if (!table.rows.some((row) => row.uid === uid)) returned.add(uid);
    if (returned.size && table.is !== "loading") void askForReturned();
  };

  const askForReturned = async (): Promise<void> => {
    const { table } = store.now;
    if (!table) return;
    const turn = pages.now();
    const wanted = new Set(returned);
    try {
      const found = await pageOf(table);
      const now = store.now.table;
      if (turn.over || !now) return;
      for (const uid of wanted) returned.delete(uid);
      store.set({ table: { ...now, rows: withBack(now.rows, learn(found.buildings), wanted) } });
    } catch (error) {
      if (turn.over || !store.now.table) return;
      if (!(error instanceof Refused && error.passing)) fail(error); // else once the line is back
    }
  };

  const nextRow = async (step: 1 | -1): Promise<void> => {
    const { table, picked } = store.now;
    if (!table) return;
    const at = table.rows.findIndex(({ uid }) => uid === picked?.uid);
    const row = table.rows[at < 0 ? 0 : at + step];
    if (row) return goTo(row.uid, row);
    say(step > 0 ? "The last row of this page." : "The first row of this page.");
  };

  store.watch((now, before) => {
    const back = (now.connected && !before.connected) || (before.trouble && !now.trouble);
    if (back && behind) void refreshList();
    if (back && returned.size && now.table?.is === "ready") void askForReturned();
  });

  let rests: ReturnType<typeof setTimeout> | undefined;
  store.watch((now, before) => {
    if (now.view.minScore === before.view.minScore || now.progress?.state !== "done") return;
    clearTimeout(rests);
    rests = setTimeout(() => void refreshQueue(), SLIDER_RESTS_MS);
  });

  return {
    refreshList,
    bringBack,
    listMore,
    refreshQueue,
    refreshPeople,
    filterQueue,
    clearFilters: (): void => filterQueue(NO_FILTERS),
    orderQueue(order: Order): void {
      setQueue({ order, trail: [], at: -1 });
      void refreshQueue();
    },
    /** What comes, without what is decided on: for the panel. */
    coming,
    next,
    previous,
    drawFilter,
    stopFilter,
    /** Open it, or close it again. */
    toggleTable(): void {
      if (store.now.table) return store.set({ table: null });
      if (store.now.progress?.state !== "done" || store.now.drawing) return;
      const { order } = store.now.queue;
      const start = { rows: [], next: null, cursors: [""], is: "loading" } as const;
      void turnTo({ ...start, order: order === "nearest" ? "value" : order });
    },
    sortTable(order: Exclude<Order, "nearest">): void {
      const { table } = store.now;
      if (table) void turnTo({ ...table, order, cursors: [""] });
    },
    turnTable(forward: boolean): void {
      const { table } = store.now;
      if (!table) return;
      const { cursors, next } = table;
      if (forward && next !== null) void turnTo({ ...table, cursors: [...cursors, next] });
      else if (!forward && cursors.length > 1) void turnTo({ ...table, cursors: cursors.slice(0, -1) });
    },
  };
}

