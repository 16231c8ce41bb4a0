/** Several maps that show the same buildings: what one is told, all are told, late ones too. */
import type { Building } from "../api/types";
import type { Sight } from "../review/state";

/** What is drawn on a map, as against where the map is. */
export type Voice = Pick<
  Sight,
  "put" | "drop" | "lift" | "select" | "look" | "reload" | "showAreas" | "showGaps" | "showFilter"
>;

export interface Chorus extends Voice {
  /** Tell a new one all that stands; returns how it leaves. */
  join(voice: Voice): () => void;
}

export function createChorus(): Chorus {
  const voices = new Set<Voice>();
  const put = new Map<string, Building>();
  // The last word of each kind; in this order, since a picked building must have been put.
  const KINDS = ["look", "showGaps", "showAreas", "showFilter", "lift", "select"] as const;
  const last: Partial<Record<(typeof KINDS)[number], (voice: Voice) => void>> = {};
  const tell = (say: (voice: Voice) => void): void => voices.forEach(say);
  const keep = (kind: (typeof KINDS)[number], say: (voice: Voice) => void): void => {
    last[kind] = say;
    tell(say);
  };
  return {
    join(voice) {
      for (const building of put.values()) voice.put(building);
      for (const kind of KINDS) last[kind]?.(voice);
      voices.add(voice);
      return () => voices.delete(voice);
    },
    put(building) {
      put.set(building.uid, building);
      tell((voice) => voice.put(building));
    },
    drop(uid) {
      put.delete(uid);
      tell((voice) => voice.drop(uid));
    },
    reload() {
      put.clear(); // it is in the tiles
      tell((voice) => voice.reload());
    },
    lift: (uid) => keep("lift", (voice) => voice.lift(uid)),
    select: (uid) => keep("select", (voice) => voice.select(uid)),
    look: (view) => keep("look", (voice) => voice.look(view)),
    showAreas: (all) => keep("showAreas", (voice) => voice.showAreas(all)),
    showGaps: (all) => keep("showGaps", (voice) => voice.showGaps(all)),
    showFilter: (area) => keep("showFilter", (voice) => voice.showFilter(area)),
  };
}
