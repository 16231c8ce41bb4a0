/** What comes next, and what is left of it. Pure: asks nobody. */
import type { Polygon } from "geojson";

import type { Building, CountRow, Review } from "../api/types";
import type { Grade } from "../geo/grades";
import type { Bounds } from "../geo/outline";

export type Order = "value" | "nearest" | "oldest" | "newest" | "score" | "surest";

export const ORDER_NAMES: Partial<Record<Order, string>> = {
  value: "Most worth a look",
  nearest: "Nearest",
  score: "Lowest score",
  oldest: "Oldest decision",
};

/** The lower end of the score is the slider of the legend: what the map hides does not come up. */
export interface Filters {
  readonly grade: Grade | "";
  readonly state: Review | "any";
  /** User name of whoever decided last; "" for all. */
  readonly who: string;
  readonly maxScore: number;
  /** Only those that somebody wants a second look at. */
  readonly flagged: boolean;
  readonly area: Polygon | null;
}

export const NO_FILTERS: Filters = {
  grade: "", state: "unreviewed", who: "", maxScore: 1, flagged: false, area: null,
};

export interface Queue {
  readonly filters: Filters;
  readonly order: Order;
  /** As they were fetched; some may have been decided on since. */
  readonly items: readonly Building[];
  /** Where the server goes on: "" from the start, null when it has nothing more. */
  readonly cursor: string | null;
  readonly is: "waiting" | "loading" | "ready" | "failed";
  /** How many the filters left when asked; null where the legend's counts say it. */
  readonly count: number | null;
  readonly ordered: boolean;
  /** Buildings gone to one after another, and at which of them one is. */
  readonly trail: readonly string[];
  readonly at: number;
}

export const EMPTY_QUEUE: Queue = {
  filters: NO_FILTERS, order: "value", items: [], cursor: "", is: "waiting", count: null,
  ordered: true, trail: [], at: -1,
};

const TRAIL_AT_MOST = 500; // to go back through; more would only cost memory

export const isFiltered = (filters: Filters): boolean =>
  (Object.keys(NO_FILTERS) as (keyof Filters)[]).some((key) => filters[key] !== NO_FILTERS[key]);

/** Whether a building as it stands now still belongs; that it lies in the area was asked before. */
export function fits(building: Building, filters: Filters, minScore: number): boolean {
  const { grade, state, who, maxScore, flagged } = filters;
  return (
    (!grade || building.grade === grade) &&
    (state === "any" ? building.review !== "replaced" : building.review === state) &&
    (!flagged || building.flagged) &&
    (!who || building.updated_by === who) &&
    (building.score ?? 1) >= minScore &&
    (maxScore === 1 || (building.score ?? 2) <= maxScore)
  );
}

/** What comes, in order: without what was decided on meanwhile, and without `skip`. */
export const upcoming = (
  { items, filters }: Queue,
  minScore: number,
  skip: ReadonlySet<string>,
): readonly Building[] =>
  items.filter((one) => !skip.has(one.uid) && fits(one, filters, minScore));

/** Items with those fetched behind them, each once. */
export function appended(
  items: readonly Building[],
  fetched: readonly Building[],
): readonly Building[] {
  const there = new Set(items.map(({ uid }) => uid));
  return [...items, ...fetched.filter(({ uid }) => !there.has(uid))];
}

/** The queue with the newest state of one building; the count falls when it leaves the filters. */
export function updated(queue: Queue, building: Building, minScore: number): Queue {
  const old = queue.items.find(({ uid }) => uid === building.uid);
  if (!old) return queue;
  const is = (one: Building): number => (fits(one, queue.filters, minScore) ? 1 : 0);
  const count = queue.count === null ? null : queue.count + is(building) - is(old);
  return { ...queue, count, items: replaced(queue.items, building) };
}

export const replaced = (all: readonly Building[], one: Building): readonly Building[] =>
  all.map((old) => (old.uid === one.uid ? one : old));

/** The queue after going to a building that was not on the trail. */
export function wentTo(queue: Queue, uid: string): Queue {
  const trail = [...queue.trail, uid].slice(-TRAIL_AT_MOST);
  return { ...queue, trail, at: trail.length - 1 };
}

export interface Left {
  readonly left: number;
  readonly total: number;
}

/** How many of how many are left; null where counts cannot say it (who, flagged, area). */
export function leftOf(rows: readonly CountRow[], filters: Filters, minScore: number): Left | null {
  if (filters.who || filters.flagged || filters.area) return null;
  const lowest = Math.round(minScore * 100);
  const highest = filters.maxScore === 1 ? Infinity : Math.round(filters.maxScore * 100);
  let [left, total] = [0, 0];
  for (const { grade, review, percent, count } of rows) {
    if (review === "replaced" && filters.state !== "replaced") continue;
    if (filters.grade && grade !== filters.grade) continue;
    if ((percent ?? 100) < lowest || (percent ?? 101) > highest) continue;
    total += count;
    if (filters.state === "any" || review === filters.state) left += count;
  }
  return { left, total };
}

/** Who can be chosen as having decided: oneself first, whoever is chosen always. */
export function whoDecided(
  people: readonly string[],
  { items, filters }: Pick<Queue, "items" | "filters">,
  me: string,
): readonly string[] {
  const seen = items.map(({ updated_by }) => updated_by ?? "");
  const others = [...people, ...seen, filters.who].filter((name) => name !== "");
  return [...new Set([me, ...others.sort((a, b) => a.localeCompare(b))])];
}

const FEWEST_SHARE = 1 / 80; // of the view's width: 18 pixels of 1,440, too few to judge by

/** Whether the map must move to show a building well enough to judge it. */
export function mustMove(building: Bounds, view: Bounds): boolean {
  const inside =
    building[0] >= view[0] && building[1] >= view[1] &&
    building[2] <= view[2] && building[3] <= view[3];
  const side = Math.max(building[2] - building[0], building[3] - building[1]);
  return !inside || side < (view[2] - view[0]) * FEWEST_SHARE;
}
