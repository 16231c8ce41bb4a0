/** Answers of one person, to second looks and samples: kept in the browser first, then sent. */
import { sendAnswer, type Answered, type Given } from "../api/answers";
import { inBrowser, onWaking, type InBrowser } from "./log/browser";
import { createKeeper } from "./log/keeper";
import type { Entry, Refusal } from "./log/ledger";
import type { Answer, Trouble } from "./log/sender";
import { createStore } from "./store";

export interface Keeping {
  /** Not with the server yet, of this page. */
  readonly waiting: readonly Entry<Given>[];
  /** So many of other pages. */
  readonly waitingElsewhere: number;
  readonly trouble: Trouble | null;
  readonly refusals: readonly Refusal<Given>[];
  /** Why nothing can be kept, so nothing is answered; "" where it can. */
  readonly cannotKeep: string;
  /** What could not be kept, so was not answered; only the newest. */
  readonly lost: readonly Entry<Given>[];
}

const CANNOT_KEEP =
  "This browser can keep nothing (its storage is full or shut, as in a private window), so an answer " +
  "could be lost. Nothing is answered until it can: free some space or open the page in a normal window.";

export interface AnswersParts extends InBrowser<Given> {
  send(given: Given): Promise<Answer>;
}

const ofBrowser = (user: number): AnswersParts => ({
  ...inBrowser<Given>(user, "answers"),
  send: (given) => sendAnswer(user, given),
});

export type Answers = ReturnType<typeof createAnswers>;

/** `given_in` names the page: the sample, or the looks or disagreements of an assessment. */
export function createAnswers(user: number, given_in: string, parts = ofBrowser(user)) {
  const store = createStore<Keeping>({
    waiting: [], waitingElsewhere: 0, trouble: null, refusals: [], cannotKeep: "", lost: [],
  });
  const { tryNow, send, ...places } = parts;
  const keeper = createKeeper<Given>({
    ...places,
    assessment: given_in,
    send: (_, given) => send(given),
    onTrouble(trouble) {
      if (trouble?.why !== store.now.trouble?.why) store.set({ trouble });
    },
    onAnswer: () => undefined, // what became of it is in the ledger
    onHeard: () => undefined,
    onChange: () => store.set({ waiting: ledger.waiting(), refusals: ledger.refusals() }),
    onBroken(lost) {
      const last = lost.length ? "Your last answer was not given. " : "";
      store.set({ cannotKeep: last + CANNOT_KEEP, lost });
    },
    onElsewhere(waitingElsewhere) {
      if (waitingElsewhere !== store.now.waitingElsewhere) store.set({ waitingElsewhere });
    },
  });
  const { ledger } = keeper;

  const sendNow = (): void => {
    void keeper.wake();
    tryNow();
  };

  return {
    store,
    begin: (): Promise<boolean> => keeper.begin(),
    sendNow,
    /** Send whenever the line may be back; warn whoever leaves while something is not saved. */
    attend(): void {
      onWaking(() => document.visibilityState === "visible" && sendNow());
      addEventListener("beforeunload", (event) => {
        if (store.now.waiting.length) event.preventDefault();
      });
    },
    /** Answer: its id, or null where nothing can be kept, so nothing was answered. */
    keep(
      about: { thing: string; on_version?: number | undefined },
      answered: Answered,
      hold_ms = 0,
    ): string | null {
      if (store.now.cannotKeep) return null;
      const id = crypto.randomUUID();
      const draft: Given = {
        ...answered, id, building: about.thing, on_version: about.on_version ?? 0,
      };
      const made_at = new Date().toISOString();
      const entry: Entry<Given> = {
        seq: Infinity, assessment: given_in, user, made_at, draft, base: null, act: { is: "do" }, hold_ms,
      };
      keeper.keep([entry]);
      void keeper.written().then(tryNow);
      return id;
    },
    release: (id: string): void => keeper.release(id),
    takeBack: (id: string): Promise<boolean> => keeper.takeBack(id),
    /** The page is left: send it once more, without waiting for anything. It is one answer. */
    sendOnLeaving(id: string): void {
      const entry = ledger.entry(id);
      if (entry && !ledger.outcome(id)) void send(entry.draft);
    },
    /** What this person has answered here, whether or not the server knows of it. */
    given: (): Set<string | null> => new Set(ledger.held().map(({ draft }) => draft.building)),
    /** What the server may not know of yet. */
    unsent(): Set<string | null> {
      const saved = ledger.all().filter(({ draft }) => ledger.outcome(draft.id)?.is === "saved");
      const known = new Set(saved.map(({ draft }) => draft.building));
      const waiting = ledger.waiting().map(({ draft }) => draft.building);
      return new Set(waiting.filter((thing) => !known.has(thing)));
    },
    /** The person has read why these were refused. */
    dismissRefusals(): void {
      const at = new Date().toISOString();
      const ids = store.now.refusals.map(({ entry }) => entry.draft.id);
      keeper.keep([], ids.map((id) => ({ id, choice: "seen" as const, at })));
    },
    /** Look whether the browser can keep answers again. */
    async tryKeeping(): Promise<void> {
      store.set({ cannotKeep: "" });
      await keeper.wake();
    },
  };
}
