/**
 * Decisions on their way to the server: kept until it has answered, in order, across reloads.
 * What sends, where it is kept and how one waits are given, so that all of it can be tested.
 */
import type { Building, Decided, Draft } from "../api/types";

export interface Waiting {
  readonly draft: Draft;
  /** Shown while it cannot be sent: why. */
  readonly trouble: string;
}

export type Answer =
  | { is: "saved"; building: Decided }
  | { is: "conflict"; message: string; theirs: Building }
  | { is: "refused"; message: string }
  | { is: "unreachable"; message: string };

export interface OutboxParts {
  send(draft: Draft): Promise<Answer>;
  keep(waiting: readonly Waiting[]): void;
  kept(): readonly Waiting[];
  /** Ends after that long, or sooner when it is worth trying again. */
  wait(milliseconds: number): Promise<void>;
  onChange(waiting: readonly Waiting[]): void;
  onAnswer(draft: Draft, answer: Exclude<Answer, { is: "unreachable" }>, dropped: Draft[]): void;
}

export interface Outbox {
  add(draft: Draft): void;
  /** Start sending what an earlier visit left. */
  resume(): void;
}

const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 15_000;

export function createOutbox(parts: OutboxParts): Outbox {
  let waiting: readonly Waiting[] = parts.kept();
  let sending = false;

  const change = (next: readonly Waiting[]): void => {
    waiting = next;
    parts.keep(waiting);
    parts.onChange(waiting);
  };

  const settle = (draft: Draft, answer: Exclude<Answer, { is: "unreachable" }>): void => {
    const rest = waiting.slice(1);
    // What was decided on top of a decision that did not hold cannot hold either.
    const fell = (later: Waiting): boolean =>
      answer.is !== "saved" && draft.building !== null && later.draft.building === draft.building;
    change(rest.filter((later) => !fell(later)));
    parts.onAnswer(draft, answer, rest.filter(fell).map((later) => later.draft));
  };

  const run = async (): Promise<void> => {
    if (sending) return;
    sending = true;
    let pause = FIRST_WAIT_MS;
    for (let next = waiting[0]; next; next = waiting[0]) {
      const answer = await parts.send(next.draft);
      if (answer.is === "unreachable") {
        change([{ draft: next.draft, trouble: answer.message }, ...waiting.slice(1)]);
        await parts.wait(pause);
        pause = Math.min(pause * 2, LONGEST_WAIT_MS);
      } else {
        pause = FIRST_WAIT_MS;
        settle(next.draft, answer);
      }
    }
    sending = false;
  };

  return {
    add(draft) {
      change([...waiting, { draft, trouble: "" }]);
      void run();
    },
    resume() {
      parts.onChange(waiting);
      void run();
    },
  };
}
