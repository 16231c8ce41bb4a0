/** The same buildings as a table, a page at a time. */
import type { Building } from "../api/types";
import { replaced, type Order } from "./queue";

export interface Table {
  readonly rows: readonly Building[];
  readonly order: Exclude<Order, "nearest">;
  /** Where each page up to this one begins; the first is "". */
  readonly cursors: readonly string[];
  readonly next: string | null;
  readonly is: "loading" | "ready" | "failed";
}

export const withNewest = (table: Table | null, building: Building): Table | null =>
  table && { ...table, rows: replaced(table.rows, building) };

/** Rows with those `wanted` that were fetched: each before the row that follows it there, else last. */
export function withBack(
  rows: readonly Building[],
  fetched: readonly Building[],
  wanted: ReadonlySet<string>,
): readonly Building[] {
  const all = [...rows];
  const placeOf = (uid: string): number => all.findIndex((row) => row.uid === uid);
  for (const [at, one] of [...fetched.entries()].reverse()) {
    if (!wanted.has(one.uid) || placeOf(one.uid) >= 0) continue;
    const follows = fetched.slice(at + 1).find(({ uid }) => placeOf(uid) >= 0);
    all.splice(follows ? placeOf(follows.uid) : all.length, 0, one);
  }
  return all;
}

/** Whether a question about this building is asked below its row, and not beside the map. */
export const asksIn = (table: Table | null, uid: string): boolean =>
  table?.rows.some((row) => row.uid === uid) ?? false;
