/**
 * The log's place: IndexedDB, a database of each person, so that nobody sends what another decided.
 * Entries, outcomes and ends are only ever added; `open` lists the entries without an outcome.
 * Every write is one transaction, on the disk before it is answered.
 */
import { openDB, type DBSchema, type IDBPDatabase } from "idb";

import type { Draft } from "../../api/types";
import type { End, Entry, Outcome, Piece, Sent } from "./ledger";

interface Tables extends DBSchema {
  entries: { key: number; value: Entry<Sent>; indexes: { id: string; assessment: [string, number] } };
  outcomes: { key: string; value: Outcome };
  ends: { key: string; value: End };
  open: { key: number; value: Open };
}

interface Open {
  readonly seq: number;
  readonly id: string;
  readonly assessment: string;
}

/** Of each assessment so many of the newest are read again when a page opens. */
const READ_AT_MOST = 1_500;

export interface Database<D extends Sent = Draft> {
  /** Keep entries, in their order; those that are there already stay as they are. */
  append(entries: readonly Entry<D>[], ends?: readonly End[]): Promise<Entry<D>[]>;
  /** What has no outcome, of every assessment, in order. */
  waiting(): Promise<Entry<D>[]>;
  /** Of one assessment: the newest, and whatever is not answered. */
  read(assessment: string): Promise<Required<Piece<D>>>;
  outcome(id: string): Promise<Outcome | undefined>;
  /**
   * Write what became of an entry, and of all open ones that fall with it. What was written of it
   * before stands, and is what comes back.
   * `fells` says which do; only asked where the outcome is not "saved".
   */
  answer(outcome: Outcome, fells: (later: Entry<D>) => boolean): Promise<Outcome[]>;
  end(ends: readonly End[]): Promise<void>;
  close(): void;
}

/** Decisions of review, and answers of second looks and samples: no page sends what it does not know. */
export type Log = "review" | "answers";

export const logName = (log: Log, user: number): string => `unosat-${log}-${user}`;
const ALL = ["entries", "outcomes", "ends", "open"] as const;
const STRICT = { durability: "strict" } as const;

export async function openLog<D extends Sent = Draft>(
  user: number,
  log: Log = "review",
): Promise<Database<D>> {
  const connect = (): Promise<IDBPDatabase<Tables>> =>
    openDB<Tables>(logName(log, user), 1, {
      upgrade(db) {
        const entries = db.createObjectStore("entries", { keyPath: "seq", autoIncrement: true });
        entries.createIndex("id", "draft.id", { unique: true });
        entries.createIndex("assessment", ["assessment", "seq"]);
        db.createObjectStore("outcomes", { keyPath: "id" });
        db.createObjectStore("ends", { keyPath: "id" });
        db.createObjectStore("open", { keyPath: "seq" });
      },
      blocking: (_was, _will, event) => (event.target as IDBDatabase).close(),
      terminated: () => {
        connection = null;
      },
    });
  let connection: IDBPDatabase<Tables> | null = await connect();
  const db = async (): Promise<IDBPDatabase<Tables>> => (connection ??= await connect());

  return {
    async append(entries, ends = []) {
      const tx = (await db()).transaction(ALL, "readwrite", STRICT);
      const done = tx.done;
      done.catch(() => undefined); // it is awaited below; an error before that must not go astray
      const kept: Entry<D>[] = [];
      for (const entry of entries) {
        const there = await tx.objectStore("entries").index("id").get(entry.draft.id);
        if (there) {
          kept.push(there as Entry<D>);
          continue;
        }
        const { seq: _none, ...rest } = entry;
        const seq = await tx.objectStore("entries").add(rest as Entry<D>);
        const { assessment, draft } = entry;
        await tx.objectStore("open").add({ seq, id: draft.id, assessment });
        kept.push({ ...entry, seq });
      }
      for (const end of ends) await tx.objectStore("ends").put(end);
      await done;
      return kept;
    },
    async waiting() {
      const tx = (await db()).transaction(["entries", "open"]);
      const open = await tx.objectStore("open").getAll();
      const found = await Promise.all(open.map(({ seq }) => tx.objectStore("entries").get(seq)));
      return found.filter((one) => one !== undefined) as Entry<D>[];
    },
    async read(assessment) {
      const tx = (await db()).transaction(ALL);
      const entries: Entry<D>[] = [];
      const mine = IDBKeyRange.bound([assessment, 0], [assessment, Infinity]);
      const index = tx.objectStore("entries").index("assessment");
      const open = await tx.objectStore("open").getAll();
      const oldest = Math.min(
        ...open.filter((one) => one.assessment === assessment).map(({ seq }) => seq),
      );
      for (
        let cursor = await index.openCursor(mine, "prev");
        cursor && (entries.length < READ_AT_MOST || cursor.value.seq >= oldest);
        cursor = await cursor.continue()
      ) {
        entries.push(cursor.value as Entry<D>);
      }
      entries.reverse();
      const ids = entries.map(({ draft }) => draft.id);
      const outcomes = await Promise.all(ids.map((id) => tx.objectStore("outcomes").get(id)));
      const ends = await Promise.all(ids.map((id) => tx.objectStore("ends").get(id)));
      const there = <T>(one: T | undefined): one is T => one !== undefined;
      return { entries, outcomes: outcomes.filter(there), ends: ends.filter(there) };
    },
    async outcome(id) {
      return (await db()).get("outcomes", id);
    },
    async answer(outcome, fells) {
      const tx = (await db()).transaction(ALL, "readwrite", STRICT);
      const done = tx.done;
      done.catch(() => undefined);
      const stands = await tx.objectStore("outcomes").get(outcome.id);
      const written = stands ? [] : [outcome];
      const open = await tx.objectStore("open").getAll();
      for (const { seq, id } of open) {
        if (id === outcome.id) await tx.objectStore("open").delete(seq);
        else if (!stands && outcome.is !== "saved") {
          const later = await tx.objectStore("entries").get(seq);
          if (!later || !fells(later as Entry<D>)) continue;
          written.push({ id, is: "fell", at: outcome.at, on: outcome.id });
          await tx.objectStore("open").delete(seq);
        }
      }
      for (const one of written) await tx.objectStore("outcomes").put(one);
      await done;
      return stands ? [stands] : written;
    },
    async end(ends) {
      const tx = (await db()).transaction("ends", "readwrite", STRICT);
      const done = tx.done;
      done.catch(() => undefined);
      for (const one of ends) await tx.store.put(one);
      await done;
    },
    close() {
      connection?.close();
      connection = null;
    },
  };
}
