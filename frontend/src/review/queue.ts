/** Which building comes next. */
import { distanceM } from "../geo/outline";

export interface Candidate {
  readonly uid: string;
  readonly centre: readonly [number, number];
  readonly review: string;
  readonly score: number | null;
}

/** The nearest one that nobody has looked at: the map then pans as little as it can. */
export function nextToReview<C extends Candidate>(
  candidates: readonly C[],
  from: readonly [number, number],
  minScore: number,
  skip: ReadonlySet<string>,
): C | undefined {
  const open = candidates.filter(
    ({ uid, review, score }) =>
      !skip.has(uid) && review === "unreviewed" && (score ?? 1) >= minScore,
  );
  const away = (one: C): number => distanceM([...from], [...one.centre]);
  return open.reduce<C | undefined>(
    (best, one) => (best === undefined || away(one) < away(best) ? one : best),
    undefined,
  );
}
