/** A person's own tools at the review page: which keys are in force, what is open, which views. */
import type { ActionName } from "./actions";
import { defaultKeymap, kept, restored, withKeys, type Keymap } from "./keymap";
import { createStore } from "./store";
import type { Views } from "./workbench";

export interface DeskState {
  keymap: Keymap;
  /** The little question that is open below the decisions. */
  asking: "unsure" | "flag" | null;
  helpOpen: boolean;
}

export type Desk = ReturnType<typeof createDesk>;

const placeOf = (user: string): string => `keys:${user}`;

/** The switch of single keys, for pages whose keys cannot be changed; the review page has the same one. */
export const keySwitch = (user: string) => ({
  on: (): boolean => restored(localStorage.getItem(placeOf(user))).on,
  keep(on: boolean): void {
    const { keymap } = restored(localStorage.getItem(placeOf(user))); // as it is by now
    localStorage.setItem(placeOf(user), kept(keymap, on));
  },
});

export type KeySwitch = ReturnType<typeof keySwitch>;

/** Keys are kept in this browser, for this person. */
export function createDesk(user: string) {
  const place = placeOf(user);
  const { keymap, on } = restored(localStorage.getItem(place));
  const store = createStore<DeskState>({ keymap, asking: null, helpOpen: false });
  let keysOn = on;
  const keep = (): void => localStorage.setItem(place, kept(store.now.keymap, keysOn));
  return {
    store,
    /** Whether single keys were on when this person was last here. */
    keysWereOn: on,
    /** Whatever shows the images puts in what can be done with them. */
    views: {} as Partial<Views>,
    keepKeysOn(is: boolean): void {
      keysOn = is;
      keep();
    },
    setKeymap(keymap: Keymap): void {
      store.set({ keymap });
      keep();
    },
    /** As it came: of one action, or of all. */
    reset(name?: ActionName): void {
      const fresh = defaultKeymap();
      const keymap = name ? withKeys(store.now.keymap, name, fresh.get(name) ?? []) : fresh;
      store.set({ keymap });
      keep();
    },
    ask: (asking: DeskState["asking"]): void => store.set({ asking }),
    openHelp: (helpOpen: boolean): void => store.set({ helpOpen }),
  };
}
