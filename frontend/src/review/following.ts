/** What others decided while this page did not hear of it: asked for in order, not all read again. */
import { decisionsSince } from "../api/together";
import { Refused } from "../api/client";

const ONE_BY_ONE = 40; // more buildings than this are quicker read again as a whole

interface Parts {
  assessment: string;
  versionOf(uid: string): number;
  /** Show one building as the server has it. */
  comeBack(uid: string): Promise<void>;
  /** Read the map, the counts and the lists again. */
  reload(): void;
  recount(): void;
  /** Whether a decision of ours on it is still on its way: its answer will tell. */
  waits(uid: string): boolean;
}

export function createFollowing(parts: Parts) {
  const heard = new Set<string>();
  let seen: string | null = null;
  let latest: string | null = null;
  let asking: Promise<void> | null = null;

  const ask = async (): Promise<void> => {
    const changed = new Set<string>();
    let after = seen;
    for (;;) {
      const answer = await decisionsSince(parts.assessment, after);
      for (const { id, building, number } of answer.decisions) {
        if (heard.has(id)) continue;
        heard.add(id);
        if (number > parts.versionOf(building) && !parts.waits(building)) changed.add(building);
      }
      if (answer.next === null) {
        seen = answer.seen;
        break;
      }
      after = answer.next;
    }
    if (changed.size > ONE_BY_ONE) return parts.reload();
    await Promise.all([...changed].map((uid) => parts.comeBack(uid)));
    if (changed.size) parts.recount();
  };

  /** Ask for what was missed. A line that is down is told elsewhere, and it is asked again. */
  const catchUp = (): Promise<void> => {
    asking ??= ask()
      .catch((error: unknown) => {
        if (!(error instanceof Refused)) throw error;
      })
      .finally(() => {
        asking = null;
      });
    return asking;
  };

  return {
    catchUp,
    /** The server's newest decision is of this moment: if that is news, something was missed. */
    async hearLatest(at: string | null): Promise<void> {
      if (at === latest) return;
      latest = at;
      await catchUp();
    },
  };
}
