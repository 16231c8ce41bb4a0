/** One value that panels and the map watch. Knows neither. */
import { useEffect, useState } from "preact/hooks";

export interface Store<State> {
  readonly now: State;
  set(change: Partial<State>): void;
  watch(listener: (now: State, before: State) => void): () => void;
}

export function createStore<State extends object>(start: State): Store<State> {
  let now = start;
  const listeners = new Set<(now: State, before: State) => void>();
  return {
    get now() {
      return now;
    },
    set(change) {
      const before = now;
      now = { ...now, ...change };
      for (const listener of [...listeners]) listener(now, before);
    },
    watch(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

export function useStore<State extends object>(store: Store<State>): State {
  const [state, setState] = useState(store.now);
  useEffect(() => {
    setState(store.now);
    return store.watch((now) => setState(now));
  }, [store]);
  return state;
}
