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

/** Whether a question about this building is asked below its row, and not beside the map. */
export const asksIn = (table: Table | null, uid: string): boolean =>
  table?.rows.some((row) => row.uid === uid) ?? false;
