/** The log of answers as tests use it: a real one, in a database of its own, before a server of theirs. */
import "fake-indexeddb/auto";

import type { Given } from "../api/answers";
import { createAnswers, type Answers } from "./answers";
import { openLog, type Database } from "./log/database";
import type { Answer } from "./log/sender";

const RETRY_MS = 1;

let locks: Promise<unknown> = Promise.resolve();

interface Tab {
  answers: Answers;
  /** The tab is killed: from now on it sends and writes nothing. */
  kill(): void;
}

/** A tab of a user; tabs of one user share a log, a channel and the one lock. */
export function openTab(
  user: number,
  given_in: string,
  send: (given: Given) => Promise<Answer>,
  open: () => Promise<Database<Given>> = () => openLog<Given>(user, "answers"),
): Tab {
  const channel = new BroadcastChannel(`answers-${user}`);
  let over = false;
  let die = (): void => undefined;
  const death = new Promise<void>((resolve) => (die = resolve));
  const never = new Promise<never>(() => undefined);
  const answers = createAnswers(user, given_in, {
    open,
    channel,
    alone: (work) => {
      const mine = locks.then(() => (over ? undefined : work()));
      locks = Promise.race([mine.catch(() => undefined), death]); // the browser frees a dead tab's
      return mine;
    },
    wait: () => (over ? never : new Promise((go) => setTimeout(go, RETRY_MS))),
    tryNow: () => undefined,
    async send(given) {
      const answer = over ? never : await send(given);
      return over ? never : answer;
    },
  });
  return {
    answers,
    kill() {
      over = true;
      die();
      channel.close();
    },
  };
}
