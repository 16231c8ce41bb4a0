import { afterEach, beforeEach, expect, it, vi } from "vitest";

import type { AssessmentPage, Building } from "../api/types";
import { createLists } from "./lists";
import { EMPTY_QUEUE } from "./queue";
import type { Core, ReviewState } from "./state";
import { createStore } from "./store";

const house = (uid: string): Building => ({
  uid, grade: "no_damage", review: "unreviewed", score: 0.9, version: 0,
  outline: { type: "Polygon", coordinates: [[[0, 0]]] },
}) as unknown as Building;

/** What was asked of the server, in order; each answered when a test says so. */
let asked: { path: string; answer(body: unknown): void }[] = [];

beforeEach(() => {
  asked = [];
  vi.stubGlobal("document", { querySelector: () => null });
  vi.stubGlobal("fetch", (path: string) =>
    new Promise((resolve) => {
      asked.push({ path, answer: (body) => resolve(new Response(JSON.stringify(body))) });
    }),
  );
});
afterEach(() => void vi.unstubAllGlobals());

/** The lists of a page that is done, and without a map. */
function open(): { lists: ReturnType<typeof createLists>; store: Core["store"] } {
  const store = createStore({
    progress: { state: "done" }, view: { minScore: 0 }, queue: EMPTY_QUEUE, table: null, picked: null,
    waiting: [], drawing: null, connected: true, trouble: null, listed: null, listGoesOn: null,
  } as unknown as ReviewState);
  const core = {
    page: { id: "a1", bounds: [0, 0, 1, 1] } as unknown as AssessmentPage,
    store,
    sight: () => null,
    pen: () => null,
    say: () => undefined,
    fail: (error: unknown) => {
      throw error;
    },
    learn: (buildings: readonly Building[]) => buildings,
    pick: () => Promise.resolve(),
    known: () => undefined,
  } as unknown as Core;
  return { lists: createLists(core), store };
}

const question = (part: string, at = 0) => {
  const found = asked.filter(({ path }) => path.includes(part))[at];
  if (!found) throw new Error(`${part} was not asked for so often: ${asked.map(({ path }) => path).join()}`);
  return found;
};
const pageOf = (...uids: string[]): unknown => ({ buildings: uids.map(house), next: null, ordered: true });
const settled = (): Promise<void> => new Promise((go) => setTimeout(go));
const uids = (all: readonly { uid: string }[] | null | undefined): string[] => (all ?? []).map(({ uid }) => uid);

it("an answer about where the map was before does not replace a newer one", async () => {
  const { lists, store } = open();
  const found = (id: string): unknown => ({
    features: [{ id, geometry: { type: "Polygon", coordinates: [[[0, 0]]] }, properties: {} }], next: null,
  });
  void lists.refreshList();
  void lists.refreshList();

  question("/footprints", 1).answer(found("new"));
  await settled();
  question("/footprints", 0).answer(found("old"));
  await settled();

  expect(uids(store.now.listed)).toEqual(["new"]);
});

it("a queue of other filters that comes late, and its count, are not taken", async () => {
  const { lists, store } = open();
  lists.filterQueue({ who: "ana" });
  lists.filterQueue({ who: "ben" });

  question("who=ben&order").answer(pageOf("b"));
  question("count?", 1).answer({ count: 1 });
  await settled();
  question("who=ana&order").answer(pageOf("a"));
  question("count?", 0).answer({ count: 9 });
  await settled();

  expect([uids(store.now.queue.items), store.now.queue.count]).toEqual([["b"], 1]);
});

it("what is fetched behind the queue is not asked for twice at once, and joins it", async () => {
  const { lists, store } = open();
  void lists.refreshQueue();
  question("order=value").answer({ ...(pageOf("a") as object), next: "1" });
  await settled();
  void lists.next(); // the last that was fetched: more is wanted
  void lists.next();
  await settled();

  expect(asked).toHaveLength(2);
  question("cursor=1").answer(pageOf("b"));
  await settled();
  expect(uids(store.now.queue.items)).toContain("b");
});

it("a page of the table that was turned away from does not come back", async () => {
  const { lists, store } = open();
  lists.toggleTable();
  lists.sortTable("score");

  question("order=score").answer(pageOf("s"));
  await settled();
  question("order=value").answer(pageOf("v"));
  await settled();

  expect(uids(store.now.table?.rows)).toEqual(["s"]);
  expect(store.now.table?.is).toBe("ready");
});
