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
      asked.push({ path, answer: (body) => resolve({ ok: true, json: () => Promise.resolve(body) }) });
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

/** A table of a, b, c and d, of which b was merged away. */
async function withoutB(): Promise<ReturnType<typeof open>> {
  const all = open();
  all.lists.toggleTable();
  question("limit=100").answer(pageOf("a", "b", "c", "d"));
  await settled();
  const { table } = all.store.now;
  if (table) all.store.set({ table: { ...table, rows: table.rows.filter(({ uid }) => uid !== "b") } });
  return all;
}

it("a part that comes back is asked for, and stands in its place; no other row moves", async () => {
  const { lists, store } = await withoutB();
  lists.bringBack(["b"]);
  question("limit=100", 1).answer(pageOf("b", "c", "d", "e")); // a was decided on, so e moves up there
  await settled();

  expect(uids(store.now.table?.rows)).toEqual(["a", "b", "c", "d"]);
  expect(store.now.table?.is).toBe("ready");
  lists.bringBack(["b", "c"]); // those are there
  expect(asked).toHaveLength(2);
});

it("a part that comes back without a connection is asked for once there is one", async () => {
  const { lists, store } = await withoutB();
  store.set({ connected: false });
  const online = fetch;
  vi.stubGlobal("fetch", () => Promise.reject(new TypeError("no line")));
  lists.bringBack(["b"]);
  await settled();
  expect(uids(store.now.table?.rows)).toEqual(["a", "c", "d"]);

  vi.stubGlobal("fetch", online);
  store.set({ connected: true });
  question("limit=100", 1).answer(pageOf("a", "b", "c", "d"));
  await settled();

  expect(uids(store.now.table?.rows)).toEqual(["a", "b", "c", "d"]);
});

it("a part that comes back while the table waits for a page is asked for once that is there", async () => {
  const { lists, store } = await withoutB();
  lists.sortTable("score");
  lists.bringBack(["b"]);
  question("order=score").answer(pageOf("d", "c", "a")); // read before it came back
  await settled();
  question("order=score", 1).answer(pageOf("d", "c", "b", "a"));
  await settled();

  expect(uids(store.now.table?.rows)).toEqual(["d", "c", "b", "a"]);
});

it("nothing is asked for a closed table, and nothing put into one that was turned meanwhile", async () => {
  const { lists, store } = await withoutB();
  lists.bringBack(["b"]);
  lists.sortTable("score");
  question("order=score").answer(pageOf("d", "a"));
  await settled();
  question("order=value", 1).answer(pageOf("a", "b"));
  await settled();
  expect(uids(store.now.table?.rows)).toEqual(["d", "a"]);

  lists.toggleTable();
  lists.bringBack(["b"]);
  expect(asked).toHaveLength(3);
});
