/**
 * Sends what is in the log, in order, until the server has answered all of it; several at once where
 * more than one waits. What one of them meets says nothing of the others.
 * One tab sends at a time; a decision that was sent twice is one, because the server knows its id.
 */
import type { Building, Draft } from "../../api/types";
import type { Database } from "./database";
import type { Entry, Outcome, Sent, Version } from "./ledger";

/** Why nothing can be sent just now; the person is told, and it is tried again. */
export interface Trouble {
  readonly why: "unreachable" | "failed" | "signed_out" | "another";
  readonly message: string;
}

export type Answer =
  | { is: "saved"; building: Building | null; also: readonly Version[] }
  | { is: "conflict"; message: string; theirs: Building }
  | { is: "refused"; message: string }
  | ({ is: "away" } & Trouble);

/** Of decisions that were sent together: an answer to each in their order, null where it was not tried. */
export interface Answers {
  readonly is: "answered";
  readonly answers: readonly (Answer | null)[];
}

export interface SenderParts<D extends Sent = Draft> {
  database: Pick<Database<D>, "waiting" | "answer" | "outcome">;
  send(assessment: string, draft: D): Promise<Answer>;
  /**
   * Send decisions of one assessment at once, in their order. Anything but answers is about all of
   * them; refused together they are sent one by one.
   */
  sendSeveral?(assessment: string, drafts: readonly D[]): Promise<Answers | Exclude<Answer, { is: "saved" }>>;
  /** Do it while no other tab does. */
  alone(work: () => Promise<void>): Promise<void>;
  /** Ends after that long, or sooner when it is worth trying again. */
  wait(milliseconds: number): Promise<void>;
  onTrouble(trouble: Trouble | null): void;
  onAnswer(entry: Entry<D>, answer: Exclude<Answer, { is: "away" }>, outcomes: Outcome[]): void;
  /** Nothing is left that can be sent now. */
  onRest(): void;
}

export interface Sender {
  /** There is something to send. */
  kick(): void;
}

/** What is known while the log is being sent. */
interface Round {
  /** Keys of what could not be taken. */
  readonly stuck: Set<string>;
  trouble: Trouble | null;
  /** One by one. */
  inTurn: boolean;
}

const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 15_000;
const EVERYTHING = "*";
const AT_ONCE = 50; // what the server takes; about a second's work for it

export function createSender<D extends Sent = Draft>(parts: SenderParts<D>): Sender {
  const { database } = parts;
  let running = false;
  let again = false;

  const run = async (): Promise<void> => {
    running = true;
    let pause = FIRST_WAIT_MS;
    do {
      again = false;
      let trouble: Trouble | null = null;
      await parts.alone(async () => {
        trouble = await drain();
      });
      parts.onTrouble(trouble);
      parts.onRest();
      if (trouble) {
        await parts.wait(pause);
        pause = Math.min(pause * 2, LONGEST_WAIT_MS);
        again = true;
      } else pause = FIRST_WAIT_MS;
    } while (again);
    running = false;
  };

  /** Send until nothing is left, or nothing more can be sent: then why. */
  const drain = async (): Promise<Trouble | null> => {
    const round: Round = { stuck: new Set(), trouble: null, inTurn: parts.sendSeveral === undefined };
    for (;;) {
      const waiting = (await database.waiting()).filter((entry) => !isStuck(entry, round.stuck));
      if (waiting.length === 0) return round.trouble;
      const together = round.inTurn ? [] : atOnce(waiting);
      const ends =
        together.length > 1
          ? await sendTogether(together, round)
          : await sendInTurn(round.inTurn ? waiting : waiting.slice(0, 1), round);
      if (ends) return ends;
    }
  };

  /** Until one did not hold: others may have fallen with it. Gives why nothing more can be sent, if so. */
  const sendInTurn = async (entries: readonly Entry<D>[], round: Round): Promise<Trouble | null> => {
    for (const entry of entries) {
      if (isStuck(entry, round.stuck)) continue;
      const answer = await deliver(entry);
      const ends = await take(entry, answer, round);
      if (ends || answer.is === "conflict" || answer.is === "refused") return ends;
    }
    return null;
  };

  const sendTogether = async (entries: readonly Entry<D>[], round: Round): Promise<Trouble | null> => {
    const drafts = entries.map(({ draft }) => draft);
    const told = await parts.sendSeveral?.(entries[0]?.assessment ?? "", drafts);
    if (told?.is === "away" && told.why !== "failed") return told;
    if (told?.is !== "answered" || !told.answers.some((one) => one !== null)) {
      round.inTurn = true; // whatever it is, it says nothing of any one of them
      return null;
    }
    for (const [at, entry] of entries.entries()) {
      const answer = told.answers[at];
      const ends = answer ? await take(entry, answer, round) : null;
      if (ends) return ends;
    }
    return null;
  };

  const take = async (entry: Entry<D>, answer: Answer, round: Round): Promise<Trouble | null> => {
    if (answer.is !== "away") {
      if (!round.trouble) parts.onTrouble(null);
      await settle(entry, answer);
      return null;
    }
    if (answer.why !== "failed") return answer;
    round.trouble = answer; // perhaps only this one: the others need not wait for it
    for (const key of keysOf(entry)) round.stuck.add(key);
    return null;
  };

  const deliver = async (entry: Entry<D>): Promise<Answer> => {
    const draft = await bound(entry);
    if (!draft) return { is: "refused", message: "What it was about was not saved." };
    return parts.send(entry.assessment, draft);
  };

  /** With the building that an earlier entry made, where that was not known when it was decided. */
  const bound = async ({ draft, act }: Entry<D>): Promise<D | null> => {
    if (draft.building !== null || act.is === "do") return draft;
    const before = await database.outcome(act.of);
    if (before?.is !== "saved" || !before.made) return null;
    const { uid, version } = before.made;
    return { ...draft, building: uid, on_version: draft.on_version < 0 ? version : draft.on_version };
  };

  const settle = async (
    entry: Entry<D>,
    answer: Exclude<Answer, { is: "away" }>,
  ): Promise<void> => {
    const gone = new Set([entry.draft.id]);
    const fells = ({ draft, act }: Entry<D>): boolean => {
      const same = entry.draft.building !== null && draft.building === entry.draft.building;
      const falls = same || (act.is !== "do" && gone.has(act.of));
      if (falls) gone.add(draft.id);
      return falls;
    };
    const outcomes = await database.answer(outcomeOf(entry, answer), fells);
    parts.onAnswer(entry, answer, outcomes);
  };

  return {
    kick() {
      if (running) again = true;
      else void run();
    },
  };
}

function outcomeOf({ draft: { id } }: Entry<Sent>, answer: Exclude<Answer, { is: "away" }>): Outcome {
  const at = new Date().toISOString();
  if (answer.is === "conflict") return { id, is: "conflict", at, theirs: answer.theirs };
  if (answer.is === "refused") return { id, is: "refused", at, message: answer.message };
  const { building, also } = answer;
  const made = building ? { uid: building.uid, version: building.version } : (also[0] ?? null);
  return { id, is: "saved", at, made };
}

/** The first of what waits that can be sent together: of one assessment, and each bound already. */
function atOnce<D extends Sent>(waiting: readonly Entry<D>[]): readonly Entry<D>[] {
  const end = waiting.findIndex(
    ({ assessment, draft, act }, at) =>
      at === AT_ONCE ||
      assessment !== waiting[0]?.assessment ||
      (draft.building === null && act.is !== "do"), // its building is in the answer to an earlier one
  );
  return end < 0 ? waiting : waiting.slice(0, end);
}

/** What must stay in order: entries that share one of these. */
function keysOf({ draft, act }: Entry<Sent>): string[] {
  const { others } = draft as { others?: readonly { building: string }[] };
  const keys = [draft.building ?? draft.id, ...(others ?? []).map(({ building }) => building)];
  if (act.is !== "do") keys.push(act.of);
  if (draft.building === null && draft.kind !== "add" && act.is === "do") keys.push(EVERYTHING);
  return keys;
}

function isStuck(entry: Entry<Sent>, stuck: ReadonlySet<string>): boolean {
  if (stuck.size === 0) return false;
  const keys = keysOf(entry);
  return stuck.has(EVERYTHING) || keys.includes(EVERYTHING) || keys.some((key) => stuck.has(key));
}
