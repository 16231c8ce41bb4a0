/**
 * One person judges building after building: what is shown, and what was said last. An answer is kept
 * at once, and waits a few seconds, or for the next one, before it is sent: so it can be taken back.
 */
import { Refused } from "../api/client";
import type { Answer, Disagreement, Look } from "../api/teams";
import type { Answers } from "../review/answers";
import { createStore } from "../review/store";

export type Item = Look & Partial<Pick<Disagreement, "building" | "version" | "first" | "second">>;

export interface Said {
  readonly item: Item;
  readonly answer: Answer;
  /** Of the entry in the log. */
  readonly id: string;
}

export interface Judging {
  /** The first is on the screen. */
  readonly items: readonly Item[];
  /** How many wait, these included; null until the server has said so. */
  readonly left: number | null;
  readonly asking: boolean;
  /** Why nothing can be shown; "" if nothing is wrong. */
  readonly trouble: string;
  /** The last answer, while it can be taken back. */
  readonly last: Said | null;
  readonly message: { text: string; bad: boolean } | null;
}

export interface Server {
  next(count: number): Promise<{ items: Item[]; left: number }>;
  /** Load the pictures before they are needed. */
  prefetch(item: Item): void;
}

export const TAKE_BACK_MS = 6000;
const AT_ONCE = 5; // what the server gives at most
const AHEAD = 3;
const MARGIN_MS = 2000; // after which even another tab sends it: taking back is over by then

export function createJudging(server: Server, answers: Answers, kind: "look" | "settle") {
  const store = createStore<Judging>({
    items: [], left: null, asking: true, trouble: "", last: null, message: null,
  });
  let timer: ReturnType<typeof setTimeout> | undefined;

  const say = (text: string, bad = false): void => store.set({ message: { text, bad } });

  const ask = async (): Promise<void> => {
    store.set({ asking: true });
    try {
      const unsaved = answers.unsent().size;
      const { items, left } = await server.next(Math.min(AT_ONCE, AHEAD + unsaved));
      const given = answers.given();
      const fresh = items.filter(({ id }) => !given.has(id));
      const [shown] = store.now.items;
      const kept = shown && !given.has(shown.id) ? [fresh.find(({ id }) => id === shown.id) ?? shown] : [];
      const all = [...kept, ...fresh.filter(({ id }) => id !== kept[0]?.id)];
      for (const item of all) server.prefetch(item);
      const known = items.length - fresh.length;
      store.set({ items: all, left: Math.max(left - known, all.length), asking: false, trouble: "" });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      store.set({ asking: false, trouble: error.message });
    }
  };

  /** Let go of the last answer: from now on it cannot be taken back. */
  const flush = (): void => {
    clearTimeout(timer);
    const { last } = store.now;
    if (!last) return;
    store.set({ last: null });
    answers.release(last.id);
  };

  const judge = (answer: Answer): void => {
    const [item, ...others] = store.now.items;
    if (!item) return;
    flush();
    const about = { thing: item.id, on_version: item.version };
    const id = answers.keep(about, { kind, answer }, TAKE_BACK_MS + MARGIN_MS);
    if (id === null) return;
    const left = Math.max(0, (store.now.left ?? 1) - 1);
    store.set({ items: others, left, last: { item, answer, id } });
    timer = setTimeout(flush, TAKE_BACK_MS);
    if (others.length < 2 && left > others.length) void ask();
  };

  const show = (item: Item): void => {
    const others = store.now.items.filter(({ id }) => id !== item.id);
    store.set({ items: [item, ...others], left: (store.now.left ?? 0) + 1 });
  };

  const takeBack = async (): Promise<void> => {
    const { last } = store.now;
    if (!last) return say(STANDS);
    clearTimeout(timer);
    store.set({ last: null });
    show(last.item);
    say("Taken back.");
    if (await answers.takeBack(last.id)) return;
    say(STANDS);
    void ask();
  };

  /** The page is left. */
  const leave = (): void => {
    const { last } = store.now;
    flush();
    if (last) answers.sendOnLeaving(last.id);
  };

  answers.store.watch((now, before) => {
    const given = answers.given();
    const items = store.now.items.filter(({ id }) => !given.has(id)); // another tab may have
    if (items.length < store.now.items.length) store.set({ items });
    const { last } = store.now;
    if (last && now.lost !== before.lost && !given.has(last.item.id)) {
      clearTimeout(timer);
      store.set({ last: null });
      show(last.item);
    }
    // What was refused is perhaps to be judged again: the server knows.
    if (now.refusals.length > before.refusals.length) void ask();
    else if (now.waiting.length < before.waiting.length && !items.length && !store.now.asking) void ask();
  });

  return { store, answers, ask, judge, takeBack, flush, leave };
}

const STANDS = "Nothing is left to take back: what was sent stands.";

export type Judge = ReturnType<typeof createJudging>;
