/**
 * Sends what is in the log, in order for each building, until the server has answered all of it.
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

export interface SenderParts<D extends Sent = Draft> {
  database: Pick<Database<D>, "waiting" | "answer" | "outcome">;
  send(assessment: string, draft: D): Promise<Answer>;
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

const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 15_000;
const EVERYTHING = "*";

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
    const stuck = new Set<string>();
    let trouble: Trouble | null = null;
    for (;;) {
      const batch = (await database.waiting()).filter((entry) => !isStuck(entry, stuck));
      if (batch.length === 0) return trouble;
      for (const entry of batch) {
        if (isStuck(entry, stuck)) continue;
        const answer = await deliver(entry);
        if (answer.is === "away") {
          if (answer.why !== "failed") return answer;
          trouble = answer; // perhaps only this one: the others need not wait for it
          for (const key of keysOf(entry)) stuck.add(key);
          continue;
        }
        if (!trouble) parts.onTrouble(null);
        await settle(entry, answer);
        if (answer.is !== "saved") break; // others may have fallen with it: look again
      }
    }
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
