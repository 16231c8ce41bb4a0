/** What is said of a building besides its grade; and what an act on several buildings changed. */
import * as api from "../api/assessments";
import type { UnsureBecause } from "../api/types";
import type { Core } from "./state";
import { REASON_NAMES } from "./workbench";

const ASK_AT_MOST = 30; // buildings one by one; beyond that, all of the map anew

/** `next` goes to the next building, where that is wished; `reload` reads everything again. */
export function createMarks(core: Core, next: () => void, reload: () => void) {
  const { page, store, say, fail, show, send } = core;

  const decidable = () => {
    const { picked, opening, drawing } = store.now;
    return picked && !opening && !drawing && page.can_review ? picked : null;
  };

  return {
    /** The picked building was looked at and cannot be judged. */
    unsure(because: UnsureBecause, note = ""): void {
      const picked = decidable();
      if (!picked) return;
      send(picked, "unsure", { because, ...(note ? { reason: note } : {}) });
      say(`Cannot tell: ${REASON_NAMES[because].toLowerCase()}.`);
      next();
    },
    /** Ask for a second look at the picked building; `note` says what it should answer. */
    flag(note = ""): void {
      const picked = decidable();
      if (!picked) return;
      send(picked, "flag", note ? { reason: note } : {});
      say("Flagged for a second look.");
    },
    /** Say that no second look is needed any more. */
    unflag(): void {
      const picked = decidable();
      if (!picked) return;
      send(picked, "unflag");
      say("No second look needed.");
    },
    /** Show what else an act changed, whoever did it; `more` that were not named. */
    async catchUp(also: readonly { uid: string; version: number }[], more = 0): Promise<void> {
      if (also.length + more > ASK_AT_MOST) return reload();
      try {
        const rows = await Promise.all(also.map(({ uid }) => api.building(page.id, uid)));
        rows.forEach(show);
      } catch (error) {
        fail(error);
      }
    },
  };
}
