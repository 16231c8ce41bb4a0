/** What is said of a building besides its grade; and what an act on several buildings changed. */
import * as api from "../api/assessments";
import type { UnsureBecause } from "../api/types";
import { UNSURE } from "./decisions";
import type { Core } from "./state";

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
    unsure(because: UnsureBecause): void {
      const picked = decidable();
      if (!picked) return;
      send(picked, "unsure", { because });
      say(`Not sure: ${UNSURE[because].toLowerCase()}.`);
      next();
    },
    /** Ask for a second look at the picked building, or say that none is needed any more. */
    flag(): void {
      const picked = decidable();
      if (!picked) return;
      send(picked, picked.flagged ? "unflag" : "flag");
      say(picked.flagged ? "No second look needed." : "Flagged for a second look.");
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
