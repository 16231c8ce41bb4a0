/** Counts for the legend and the score slider, from one table of counts. */
import type { CountRow } from "../api/types";
import { ALL_GRADES, type Grade } from "../geo/grades";

export interface Tally {
  readonly byGrade: Record<Grade, number>;
  /** On the map at this score: rejected ones are not. */
  readonly shown: number;
  readonly reviewed: number;
  readonly rejected: number;
  /** Unreviewed and below the score. */
  readonly hidden: number;
}

/** What is on the map at `minPercent`. Whatever a person has looked at shows at every score. */
export function tally(rows: readonly CountRow[], minPercent: number): Tally {
  const byGrade = Object.fromEntries(ALL_GRADES.map((g) => [g, 0])) as Record<Grade, number>;
  let [shown, reviewed, rejected, hidden] = [0, 0, 0, 0];
  for (const row of rows) {
    if (row.review === "rejected") rejected += row.count;
    else if (row.review === "unreviewed" && (row.percent ?? 100) < minPercent) hidden += row.count;
    else {
      byGrade[row.grade] += row.count;
      shown += row.count;
      if (row.review !== "unreviewed") reviewed += row.count;
    }
  }
  return { byGrade, shown, reviewed, rejected, hidden };
}
