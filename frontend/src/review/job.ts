/** What can be done about the analysis itself. */
import * as api from "../api/assessments";
import type { Core } from "./state";

export function createJob({ page, store, say, fail }: Core) {
  const setUrgent = async (urgent: boolean): Promise<void> => {
    try {
      store.set({ progress: await api.setUrgent(page.id, urgent) });
    } catch (error) {
      fail(error);
    }
  };

  const retryShard = async (index: number): Promise<void> => {
    try {
      store.set({ progress: await api.retryShard(page.id, index) });
      say(`Shard ${index + 1} is done anew. The others are kept.`);
    } catch (error) {
      fail(error);
    }
  };

  const retryMerge = async (): Promise<void> => {
    try {
      store.set({ progress: await api.retryMerge(page.id) });
      say("The parts are joined anew. What they found is kept.");
    } catch (error) {
      fail(error);
    }
  };

  const cancel = async (): Promise<void> => {
    try {
      store.set({ progress: await api.cancel(page.id) });
      say("Cancelled. Workers stop after the tile they are on; nothing is kept.");
    } catch (error) {
      fail(error);
    }
  };

  return { setUrgent, retryShard, retryMerge, cancel };
}
