/** Rounds of questions: an answer to a question of an earlier round comes too late. */

export interface Rounds {
  /** Begin the next round. */
  next(): Round;
  /** The round that is on. */
  now(): Round;
}

export interface Round {
  /** Whether another has begun since: what was asked in this one is not wanted any more. */
  readonly over: boolean;
}

export function createRounds(): Rounds {
  let newest = 0;
  const now = (): Round => {
    const mine = newest;
    return {
      get over() {
        return mine !== newest;
      },
    };
  };
  return {
    next() {
      newest += 1;
      return now();
    },
    now,
  };
}
