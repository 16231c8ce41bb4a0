/** Judging a sample: the next one is there at once, answers are kept and sent behind it. Knows no panel. */
import type { Answered } from "../api/answers";
import type { ItemAnswer, Mark, Offer, Thing } from "../api/quality";
import { Refused } from "../api/client";
import type { Answers } from "./answers";
import { createStore, type Store } from "./store";

export interface Judging {
  /** The first is judged now; those behind it are loaded already. */
  things: readonly Thing[];
  /** Nobody has judged them yet, as far as is known here. */
  left: number | null;
  /** Buildings marked in the square that is judged now. */
  marks: readonly Mark[];
  /** Where the next mark goes, as a part of the picture. */
  cross: { x: number; y: number };
  finished: boolean;
  /** What is left lies before others. */
  waiting: boolean;
  /** The last thing to say, for the eye and for screen readers. */
  said: string;
  trouble: string;
}

export interface Server {
  next(limit: number): Promise<Offer>;
}

export interface Judge {
  readonly store: Store<Judging>;
  readonly answers: Answers;
  answer(answer: ItemAnswer): void;
  /** All that was missed in the square is marked. */
  allMarked(): void;
  cannotJudge(): void;
  mark(grade: Mark["grade"]): void;
  unmark(index: number): void;
  move(x: number, y: number): void;
  back(): void;
  more(): Promise<void>;
}

interface Given {
  thing: Thing;
  marks: readonly Mark[];
}

const AHEAD = 6; // pictures loaded before they are needed
const AGAIN_MS = 3000;
const MIDDLE = { x: 0.5, y: 0.5 };

export function createJudge(server: Server, answers: Answers, wait = AGAIN_MS): Judge {
  const store = createStore<Judging>({
    things: [], left: null, marks: [], cross: MIDDLE,
    finished: false, waiting: false, said: "", trouble: "",
  });
  const given: Given[] = [];
  let asking = false;
  let again: ReturnType<typeof setTimeout> | undefined;

  const now = (): Thing | undefined => store.now.things[0];

  async function more(): Promise<void> {
    clearTimeout(again);
    if (asking || store.now.finished) return;
    asking = true;
    try {
      const { things, left } = await server.next(AHEAD + answers.unsent().size);
      const unsent = answers.unsent().size;
      const known = new Set([...answers.given(), ...store.now.things.map((one) => one.id)]);
      const fresh = things.filter((one) => !known.has(one.id));
      const all = [...store.now.things, ...fresh];
      store.set({
        things: all,
        left: Math.max(0, left - unsent),
        finished: !all.length && left === 0,
        waiting: !all.length && left > 0 && !unsent, // else they are ours, on their way
        trouble: "",
      });
    } catch (error) {
      const over = error instanceof Refused && error.code === "sample_over";
      store.set(over ? { finished: true } : { trouble: (error as Error).message });
    } finally {
      asking = false;
    }
    if (!store.now.finished && !store.now.things.length) again = setTimeout(() => void more(), wait);
  }

  answers.store.watch((is, was) => {
    const fewer = is.waiting.length < was.waiting.length;
    if (fewer && !store.now.things.length) void more();
    if (is.lost !== was.lost) putBack(new Set(is.lost.map(({ draft }) => draft.building)));
  });

  /** What could not be kept was not answered. */
  function putBack(ids: ReadonlySet<string | null>): void {
    const lost = given.filter(({ thing }) => ids.has(thing.id));
    const [first] = lost;
    if (!first) return;
    for (const one of lost) given.splice(given.indexOf(one), 1);
    const things = [...lost.map(({ thing }) => thing), ...store.now.things];
    store.set({ things, marks: first.marks, left: (store.now.left ?? 0) + lost.length });
  }

  function done(answered: Answered, said: string): void {
    const [thing, ...rest] = store.now.things;
    if (!thing || answers.keep({ thing: thing.id }, answered) === null) return;
    given.push({ thing, marks: store.now.marks });
    store.set({
      things: rest, marks: [], cross: MIDDLE, said,
      left: store.now.left === null ? null : Math.max(0, store.now.left - 1),
    });
    if (rest.length < AHEAD / 2) void more();
  }

  return {
    store,
    answers,
    more,
    answer(answer) {
      const thing = now();
      if (thing?.kind === "building") done({ kind: "item", answer }, "Next.");
    },
    allMarked() {
      const thing = now();
      const marks = [...store.now.marks];
      if (thing?.kind !== "square") return;
      done({ kind: "square", answer: "judged", marks }, `${marks.length} marked. Next.`);
    },
    cannotJudge() {
      const thing = now();
      if (!thing) return;
      const answer = "cannot_judge" as const;
      const square = { kind: "square", answer, marks: [] } as const;
      done(thing.kind === "square" ? square : { kind: "item", answer }, "Cannot be judged. Next.");
    },
    mark(grade) {
      const thing = now();
      if (thing?.kind !== "square") return;
      const { x, y } = store.now.cross;
      const inside = [x, y].every((part) => part >= thing.frame && part <= 1 - thing.frame);
      if (!inside) {
        store.set({ said: "That is outside of the square: only buildings with their middle in it count." });
        return;
      }
      if (thing.rings.some((ring) => holds(ring, x, y))) {
        store.set({ said: "There is an outline there already: mark only buildings without one." });
        return;
      }
      const marks = [...store.now.marks, { x, y, grade }];
      store.set({ marks, said: `${marks.length} marked.` });
    },
    unmark(index) {
      const marks = store.now.marks.filter((_, at) => at !== index);
      store.set({ marks, said: `Mark removed, ${marks.length} left.` });
    },
    move(x, y) {
      const within = (part: number): number => Math.min(1, Math.max(0, part));
      store.set({ cross: { x: within(x), y: within(y) } });
    },
    back() {
      const last = given.pop();
      if (!last) {
        store.set({ said: "There is nothing to go back to." });
        return;
      }
      store.set({
        things: [last.thing, ...store.now.things],
        marks: last.marks,
        cross: MIDDLE,
        left: (store.now.left ?? 0) + 1,
        waiting: false,
        said: "Back to the one before: your new answer replaces the old one.",
      });
    },
  };
}

/** Whether a ring encloses a place: a line to the right crosses it an odd number of times. */
function holds(ring: readonly (readonly number[])[], x: number, y: number): boolean {
  let inside = false;
  ring.forEach(([x1 = 0, y1 = 0], at) => {
    const [x2 = 0, y2 = 0] = ring[(at + 1) % ring.length] ?? [];
    if (y1 > y !== y2 > y && x < ((x2 - x1) * (y - y1)) / (y2 - y1) + x1) inside = !inside;
  });
  return inside;
}
