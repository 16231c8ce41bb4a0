/**
 * The log at work in one tab: keeps each decision before it is sent, hears what other tabs keep and
 * send, and says when nothing can be kept.
 */
import type { Database } from "./database";
import { Ledger, type End, type Entry, type Piece } from "./ledger";
import { createSender, type SenderParts } from "./sender";

export interface KeeperParts
  extends Pick<SenderParts, "send" | "alone" | "wait" | "onTrouble" | "onAnswer"> {
  assessment: string;
  open(): Promise<Database>;
  /** To the other tabs of the same person. */
  channel: Pick<BroadcastChannel, "postMessage" | "onmessage">;
  /** Something in the ledger is other than before. */
  onChange(): void;
  /** Another tab, or an earlier visit, decided this; it may not be saved yet. */
  onHeard(entries: readonly Entry[]): void;
  /** These could not be kept, so they were not decided; none if the log cannot even be opened. */
  onBroken(lost: readonly Entry[], error: unknown): void;
  /** So many decisions of other assessments wait in this browser. */
  onElsewhere(count: number): void;
}

export type Keeper = ReturnType<typeof createKeeper>;

export function createKeeper(parts: KeeperParts) {
  const ledger = new Ledger();
  let database: Promise<Database> | null = null;
  let writes: Promise<unknown> = Promise.resolve();

  const opened = (): Promise<Database> => {
    database ??= parts.open().catch((error: unknown) => {
      database = null; // the next decision tries again
      throw error;
    });
    return database;
  };

  const elsewhere = async (): Promise<void> => {
    const all = await (await opened()).waiting();
    parts.onElsewhere(all.filter(({ assessment }) => assessment !== parts.assessment).length);
  };

  const sender = createSender({
    send: parts.send,
    alone: parts.alone,
    wait: parts.wait,
    onTrouble: parts.onTrouble,
    database: {
      waiting: async () => (await opened()).waiting(),
      outcome: async (id) => (await opened()).outcome(id),
      answer: async (outcome, fells) => (await opened()).answer(outcome, fells),
    },
    onAnswer(entry, answer, outcomes) {
      take({ outcomes });
      tell({ outcomes });
      if (entry.assessment === parts.assessment) parts.onAnswer(entry, answer, outcomes);
    },
    onRest: () => void elsewhere().catch(() => undefined),
  });

  const take = (piece: Piece): void => {
    ledger.add({ ...piece, entries: (piece.entries ?? []).filter(ofOurs) });
    parts.onChange();
  };
  const ofOurs = ({ assessment }: Entry): boolean => assessment === parts.assessment;
  const tell = (piece: Piece): void => parts.channel.postMessage(piece);

  parts.channel.onmessage = ({ data }: MessageEvent<Piece>) => {
    const fresh = (data.entries ?? []).filter((one) => ofOurs(one) && !ledger.entry(one.draft.id));
    take(data);
    if (fresh.length) parts.onHeard(fresh);
  };

  /** Read it all again: at the start, and after this tab was asleep. */
  const read = async (): Promise<void> => {
    const piece = await (await opened()).read(parts.assessment);
    const fresh = piece.entries.filter(({ draft }) => !ledger.entry(draft.id));
    take(piece);
    parts.onHeard(fresh);
  };

  return {
    ledger,
    /** Read what earlier visits left, add what an older release left, and send. */
    async begin(left: readonly Entry[] = []): Promise<boolean> {
      try {
        if (left.length) await (await opened()).append(left);
        await read();
      } catch (error) {
        parts.onBroken([], error);
        return false;
      }
      sender.kick();
      return true;
    },
    async wake(): Promise<void> {
      await read().catch((error: unknown) => parts.onBroken([], error));
      sender.kick();
    },
    /** Decide: known at once, on its way once it is on the disk. */
    keep(entries: readonly Entry[], ends: readonly End[] = []): void {
      const piece = { entries, ends };
      take(piece);
      writes = writes.then(async () => {
        try {
          const kept = { entries: await (await opened()).append(entries, ends), ends };
          take(kept);
          tell(kept);
          if (entries.length) sender.kick();
        } catch (error) {
          ledger.drop(piece);
          parts.onChange();
          parts.onBroken(entries, error);
        }
      });
    },
    /** Ends when all that was given to `keep` is on the disk, or known to be lost. */
    written: async (): Promise<void> => {
      await writes;
    },
  };
}
