/**
 * The log at work in one tab: keeps each decision before it is sent, hears what other tabs keep and
 * send, and says when nothing can be kept.
 */
import type { Draft } from "../../api/types";
import type { Database } from "./database";
import { Ledger, type End, type Entry, type Piece, type Sent } from "./ledger";
import { createSender, type SenderParts } from "./sender";

export interface KeeperParts<D extends Sent = Draft>
  extends Pick<SenderParts<D>, "send" | "sendSeveral" | "alone" | "wait" | "onTrouble" | "onAnswer"> {
  assessment: string;
  open(): Promise<Database<D>>;
  /** To the other tabs of the same person. */
  channel: Pick<BroadcastChannel, "postMessage" | "onmessage">;
  /** Something in the ledger is other than before. */
  onChange(): void;
  /** Another tab, or an earlier visit, decided this; it may not be saved yet. */
  onHeard(entries: readonly Entry<D>[]): void;
  /** These could not be kept, so they were not decided; none if the log cannot even be opened. */
  onBroken(lost: readonly Entry<D>[], error: unknown): void;
  /** So many decisions of other assessments wait in this browser. */
  onElsewhere(count: number): void;
}

export type Keeper<D extends Sent = Draft> = ReturnType<typeof createKeeper<D>>;

export function createKeeper<D extends Sent = Draft>(parts: KeeperParts<D>) {
  const ledger = new Ledger<D>();
  const released = new Set<string>();
  let holding: ReturnType<typeof setTimeout> | undefined;
  let database: Promise<Database<D>> | null = null;
  let writes: Promise<unknown> = Promise.resolve();

  const opened = (): Promise<Database<D>> => {
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

  /** Milliseconds until it may be sent; what was made "later than now" is sent: a clock was set. */
  const held = ({ draft, made_at, hold_ms = 0 }: Entry<D>): number => {
    const left = Date.parse(made_at) + hold_ms - Date.now();
    return released.has(draft.id) || left > hold_ms ? 0 : Math.max(0, left);
  };

  /** What may be sent now; for the rest the sender comes again. */
  const ready = async (): Promise<Entry<D>[]> => {
    const all = await (await opened()).waiting();
    const holds = all.map(held).filter((left) => left > 0);
    clearTimeout(holding);
    if (holds.length) holding = setTimeout(() => sender.kick(), Math.min(...holds));
    return all.filter((one) => held(one) === 0);
  };

  const sender = createSender<D>({
    send: parts.send,
    ...(parts.sendSeveral ? { sendSeveral: parts.sendSeveral } : {}),
    alone: parts.alone,
    wait: parts.wait,
    onTrouble: parts.onTrouble,
    database: {
      waiting: ready,
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

  const take = (piece: Piece<D>): void => {
    ledger.add({ ...piece, entries: (piece.entries ?? []).filter(ofOurs) });
    parts.onChange();
  };
  const ofOurs = ({ assessment }: Entry<D>): boolean => assessment === parts.assessment;
  const tell = (piece: Piece<D>): void => parts.channel.postMessage(piece);

  parts.channel.onmessage = ({ data }: MessageEvent<Piece<D>>) => {
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
    async begin(left: readonly Entry<D>[] = []): Promise<boolean> {
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
    keep(entries: readonly Entry<D>[], ends: readonly End[] = []): void {
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
    /** Let a held one go: from now on it cannot be taken back. */
    release(id: string): void {
      released.add(id);
      sender.kick();
    },
    /** Take back what is held; false if it had been sent all the same. */
    takeBack(id: string): Promise<boolean> {
      const taken = { outcomes: [{ id, is: "taken" as const, at: new Date().toISOString() }] };
      take(taken);
      const done = writes.then(async () => {
        const [taking] = taken.outcomes;
        const outcomes = taking ? await (await opened()).answer(taking, () => false) : [];
        take({ outcomes });
        tell({ outcomes });
        return outcomes[0]?.is === "taken";
      });
      writes = done.catch((error: unknown) => parts.onBroken([], error));
      return done.catch(() => false);
    },
    /** Ends when all that was given to `keep` is on the disk, or known to be lost. */
    written: async (): Promise<void> => {
      await writes;
    },
  };
}
