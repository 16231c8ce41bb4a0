/** Counts for the legend and the score slider, from one table of counts. */
import type { Building, CountRow } from "../api/types";
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
    if (row.review === "replaced") continue; // split or merged away: others stand in its place
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

/** The counts once `after` stands in the place of `before`, which this page may not have known. */
export function moved(
  rows: readonly CountRow[],
  before: Building | undefined,
  after: Building,
): readonly CountRow[] {
  const from = before ?? asTheModelSaid(after);
  if (from === null) return rows; // the server will say
  const out = from === undefined ? rows : counted(rows, from, -1);
  return counted(out, after, 1);
}

/** What came before a first decision; undefined: nothing was; null: nobody here knows. */
function asTheModelSaid(after: Building): Building | undefined | null {
  if (after.review === "added" && after.version === 1) return undefined;
  if (after.version !== 1 || after.model_grade === null) return null;
  return { ...after, grade: after.model_grade, review: "unreviewed" };
}

function counted(rows: readonly CountRow[], one: Building, by: 1 | -1): readonly CountRow[] {
  const { grade, review, source, score } = one;
  const percent = score === null ? null : Math.floor(score * 100);
  const same = (row: CountRow): boolean =>
    row.grade === grade && row.review === review && row.source === source && row.percent === percent;
  if (!rows.some(same)) return by > 0 ? [...rows, { grade, review, source, percent, count: 1 }] : rows;
  return rows.map((row) => (same(row) ? { ...row, count: Math.max(0, row.count + by) } : row));
}
