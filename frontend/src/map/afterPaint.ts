/**
 * Panels first: what a key changed is painted there before the map is told. A map takes many times
 * as long to draw, and one frame waits for all that was asked for before it.
 */
import type { Sight } from "../review/state";

const MOVES: ReadonlySet<keyof Sight> = new Set(["goTo", "stepBack"]);

/** The same sight, told in the same order, once the next frame is on the screen. */
export function afterPaint(sight: Sight, soon: (flush: () => void) => void = nextFrame): Sight {
  let waiting: (() => void)[] = [];
  let moves = false;
  const flush = (): void => {
    const all = waiting;
    waiting = [];
    moves = false;
    for (const tell of all) tell();
  };
  const later =
    <Name extends keyof Sight>(name: Name) =>
    (...words: Parameters<Sight[Name]>): void => {
      if (waiting.length === 0) soon(flush);
      moves ||= MOVES.has(name);
      waiting.push(() => (sight[name] as (...words: Parameters<Sight[Name]>) => void)(...words));
    };
  /** Where the map is, or is about to be. */
  const where = <Place>(asked: () => Place): Place => {
    if (moves) flush();
    return asked();
  };
  return {
    put: later("put"),
    drop: later("drop"),
    lift: later("lift"),
    select: later("select"),
    look: later("look"),
    reload: later("reload"),
    showAreas: later("showAreas"),
    showGaps: later("showGaps"),
    showFilter: later("showFilter"),
    showPeers: later("showPeers"),
    goTo: later("goTo"),
    stepBack: later("stepBack"),
    bounds: () => where(() => sight.bounds()),
    centre: () => where(() => sight.centre()),
  };
}

/**
 * In the frame after the next: drawn sooner, the map would hold up the presenting of the next one. A
 * page that nobody sees paints nothing, and its map need not wait.
 */
export function nextFrame(flush: () => void): void {
  if (document.hidden) setTimeout(flush);
  else requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(flush)));
}
