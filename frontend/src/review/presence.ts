/** Where we look, told to the others; and where they look. Everything of it fades by itself. */
import { come, leave, type Peer, type PeerNews, type Place } from "../api/together";
import { Refused } from "../api/client";
import { centreOf } from "../geo/outline";
import type { Core } from "./state";

const AT_MOST_EVERY_MS = 2_000;
const HEARTBEAT_MS = 5_000;
const GONE_AFTER_MS = 15_000; // as the server forgets them

export function createPresence(
  { page, store, sight }: Pick<Core, "page" | "store" | "sight">,
  hearLatest: (at: string | null) => Promise<void>,
) {
  const heardAt = new Map<number, number>();
  let told = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const showPeers = (peers: readonly Peer[]): void => {
    store.set({ peers });
    sight()?.showPeers(peers);
  };

  const place = (): Place | null => {
    const map = sight();
    if (!map) return null;
    const { picked } = store.now;
    const centre = picked ? centreOf(picked.outline) : map.centre();
    return { centre: [centre[0], centre[1]], bounds: map.bounds(), building: picked?.uid ?? null };
  };

  const tell = async (): Promise<void> => {
    clearTimeout(timer);
    timer = setTimeout(() => void tell(), HEARTBEAT_MS);
    const now = place();
    if (!now || document.visibilityState === "hidden") return;
    told = Date.now();
    try {
      const { here, latest } = await come(page.id, now);
      for (const { user_id } of here) heardAt.set(user_id, Date.now());
      showPeers(here);
      await hearLatest(latest);
    } catch (error) {
      if (!(error instanceof Refused)) throw error; // nobody is seen without a line; that is told
      fade();
    }
  };

  const fade = (): void => {
    const since = Date.now() - GONE_AFTER_MS;
    const left = store.now.peers.filter(({ user_id }) => (heardAt.get(user_id) ?? 0) > since);
    if (left.length < store.now.peers.length) showPeers(left);
  };

  /** We look elsewhere now: told soon, and never more often than every two seconds. */
  const moved = (): void => {
    clearTimeout(timer);
    const pause = Math.max(0, told + AT_MOST_EVERY_MS - Date.now());
    timer = setTimeout(() => void tell(), pause);
  };

  let last: string | undefined;
  store.watch(({ picked }) => {
    if (picked?.uid === last) return;
    last = picked?.uid;
    if (sight()) moved();
  });
  addEventListener("pagehide", () => void leave(page.id).catch(() => undefined));

  return {
    moved,
    hearPeer(news: PeerNews): void {
      if (news.user_id === page.user_id) return;
      const others = store.now.peers.filter(({ user_id }) => user_id !== news.user_id);
      if ("gone" in news) return showPeers(others);
      heardAt.set(news.user_id, Date.now());
      const peers = [...others, news].sort((a, b) => a.user_id - b.user_id);
      showPeers(peers);
    },
  };
}
