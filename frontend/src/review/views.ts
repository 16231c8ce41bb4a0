/**
 * How before and after are shown: the after image alone, a swipe, or side by side; and a blink, which
 * shows the image before for as long as it is held. It knows no map: `map/compare.ts` watches it.
 */
import { read, shelf, write, type Shelf } from "./looks";
import { createStore, type Store } from "./store";

export type Mode = "one" | "swipe" | "side";

export interface ViewsState {
  /** The person's habit; `shown` is what it comes to now. */
  mode: Mode;
  /** The image before is shown: held, or kept. */
  blinking: boolean;
  /** Shown until it is asked for again: for those who cannot hold a key. */
  kept: boolean;
  /** Whether the image before will be needed to blink; until then nothing of it is fetched. */
  wanted: boolean;
  /** Whether what of it is in view has come. */
  loaded: boolean;
  /** Whether there is an image from before. */
  before: boolean;
  /** Whether there is a map. */
  ready: boolean;
  drawing: boolean;
  /** Where the swipe ends, in percent of the map's width: before on its left, after on its right. */
  split: number;
}

export interface Views {
  readonly store: Store<ViewsState>;
  /** What to know before anything is shown. */
  open(facts: { user: string; before: boolean; say: (text: string) => void }): void;
  /** Show the image before, or no longer. */
  blink(on: boolean): void;
  /** Show the image before until this is called again. */
  keepBefore(): void;
  /** Show the image after again, if the other is kept. */
  letGo(): void;
  /** It may be asked for soon: begin to fetch it. */
  want(): void;
  /** Begin, or end if it is on. */
  swipe(): void;
  sideBySide(): void;
  one(): void;
  moveSplit(percent: number): void;
}

export const NO_BEFORE = "There is no image from before.";
export const NO_MAP = "The map is not there yet.";

/** Why before and after cannot be compared now; null if they can. */
export const whyNot = ({ before, ready }: ViewsState): string | null =>
  before ? (ready ? null : NO_MAP) : NO_BEFORE;

/** A swipe would hide half of what is being drawn, so it rests meanwhile. */
export function shown(state: ViewsState): Mode {
  if (whyNot(state)) return "one";
  return state.mode === "swipe" && state.drawing ? "one" : state.mode;
}

const SAID: Record<Mode, string> = {
  one: "Image after alone.",
  swipe: "Swipe: before on the left, after on the right. Arrow keys move the line.",
  side: "Side by side: before on the left, after on the right.",
};

export function createViews(on: () => Shelf | null): Views {
  const store = createStore<ViewsState>({
    mode: "one", blinking: false, kept: false, wanted: false, loaded: false, before: false, ready: false,
    drawing: false, split: 50,
  });
  let held = false;
  let key = "";
  let say: (text: string) => void = () => undefined;

  const keep = (kept: boolean): void => {
    if (kept !== store.now.kept) store.set({ kept, blinking: held || kept, wanted: store.now.wanted || kept });
  };
  const show = (mode: Mode): void => {
    const why = whyNot(store.now);
    if (why) return say(why);
    store.set({ mode });
    keep(false);
    write(on(), key, mode);
    say(SAID[mode]);
  };
  const toggle = (mode: Mode): void => show(store.now.mode === mode ? "one" : mode);

  return {
    store,
    open(facts) {
      key = `views:${facts.user}`;
      say = facts.say;
      const habit = read(on(), key);
      const mode = habit === "swipe" || habit === "side" ? habit : "one";
      store.set({ before: facts.before, mode });
    },
    blink(is) {
      if (is === held) return;
      const why = whyNot(store.now);
      if (why && is) return say(why);
      held = is;
      const { kept, wanted } = store.now;
      store.set({ blinking: held || kept, wanted: wanted || is });
    },
    keepBefore() {
      const why = whyNot(store.now);
      if (why) return say(why);
      keep(!store.now.kept);
      say(store.now.kept ? "Image before, until you ask again or go to another building." : SAID[store.now.mode]);
    },
    letGo: () => keep(false),
    want: () => {
      if (!store.now.wanted && !whyNot(store.now)) store.set({ wanted: true });
    },
    swipe: () => toggle("swipe"),
    sideBySide: () => toggle("side"),
    one: () => show("one"),
    moveSplit: (percent) => store.set({ split: Math.min(100, Math.max(0, percent)) }),
  };
}

/** The page's own: keys and buttons share it. */
export const views: Views = createViews(shelf);
