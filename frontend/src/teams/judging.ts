/**
 * One person judges building after building: what is shown, what was said last, what is on its way.
 * An answer waits a few seconds, or for the next one, before it is sent: so it can be taken back.
 */
import { Refused } from "../api/client";
import type { Answer, Disagreement, Look } from "../api/teams";
import { createStore } from "../review/store";

export type Item = Look & Partial<Pick<Disagreement, "building" | "version" | "first" | "second">>;

export interface Said {
  readonly item: Item;
  readonly answer: Answer;
  /** Of the decision, where a disagreement is settled: sent again it is one. */
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
  /** How many answers are not with the server yet. */
  readonly unsaved: number;
  readonly message: { text: string; bad: boolean } | null;
}

export interface Server {
  next(count: number): Promise<{ items: Item[]; left: number }>;
  send(said: Said): Promise<void>;
  /** Load the pictures before they are needed. */
  prefetch(item: Item): void;
  wait(milliseconds: number): Promise<void>;
}

export const TAKE_BACK_MS = 6000;
const AT_ONCE = 5; // what the server gives at most
const AHEAD = 3;
const RETRY_MS = 3000;

export function createJudging(server: Server) {
  const store = createStore<Judging>({
    items: [], left: null, asking: true, trouble: "", last: null, unsaved: 0, message: null,
  });
  const judged = new Set<string>(); // answered here, whether or not the server knows yet
  let line: Promise<void> = Promise.resolve();
  let timer: ReturnType<typeof setTimeout> | undefined;

  const say = (text: string, bad = false): void => store.set({ message: { text, bad } });

  const ask = async (): Promise<void> => {
    store.set({ asking: true });
    try {
      const { unsaved } = store.now;
      const { items, left } = await server.next(Math.min(AT_ONCE, AHEAD + unsaved));
      const fresh = items.filter(({ id }) => !judged.has(id));
      const [shown] = store.now.items;
      const kept = shown && !judged.has(shown.id) ? [shown] : [];
      const all = [...kept, ...fresh.filter(({ id }) => id !== kept[0]?.id)];
      for (const item of all) server.prefetch(item);
      const known = items.length - fresh.length;
      store.set({ items: all, left: Math.max(left - known, all.length), asking: false, trouble: "" });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      store.set({ asking: false, trouble: error.message });
    }
  };

  const sendNow = async (said: Said): Promise<void> => {
    for (;;) {
      try {
        await server.send(said);
        if (store.now.message?.bad) store.set({ message: null });
        break;
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        if (error.passing) {
          say(error.message, true);
          await server.wait(RETRY_MS);
          continue;
        }
        say(error.message, true);
        hearRefusal(said, error);
        break;
      }
    }
    store.set({ unsaved: store.now.unsaved - 1 });
  };

  /** Somebody changed the building: whoever settles looks at it again. */
  const hearRefusal = ({ item }: Said, error: Refused): void => {
    if (error.code !== "changed_meanwhile") return;
    judged.delete(item.id);
    const version = Number(error.body["version"] ?? item.version);
    store.set({ items: [{ ...item, version }, ...store.now.items], left: (store.now.left ?? 0) + 1 });
  };

  /** Let go of the last answer: from now on it cannot be taken back. */
  const flush = (): void => {
    clearTimeout(timer);
    const { last } = store.now;
    if (!last) return;
    store.set({ last: null });
    line = line.then(() => sendNow(last));
  };

  const judge = (answer: Answer): void => {
    const [item, ...others] = store.now.items;
    if (!item) return;
    flush();
    judged.add(item.id);
    const left = Math.max(0, (store.now.left ?? 1) - 1);
    const last = { item, answer, id: crypto.randomUUID() };
    store.set({ items: others, left, last, unsaved: store.now.unsaved + 1 });
    timer = setTimeout(flush, TAKE_BACK_MS);
    if (others.length < 2 && left > others.length) void ask();
  };

  const takeBack = (): void => {
    const { last, items, left, unsaved } = store.now;
    if (!last) return say("Nothing is left to take back: what was sent stands.");
    clearTimeout(timer);
    judged.delete(last.item.id);
    store.set({ items: [last.item, ...items], left: (left ?? 0) + 1, last: null, unsaved: unsaved - 1 });
    say("Taken back.");
  };

  return { store, ask, judge, takeBack, flush, say, sent: (): Promise<void> => line };
}

export type Judge = ReturnType<typeof createJudging>;
