/** Keys that mean something only while something is drawn; they come before all others then. */
import { BIG_STEP_PX, STEP_PX } from "./drawing";
import type { Session } from "./session";

const WAYS: Record<string, readonly [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, 1],
  ArrowDown: [0, -1],
};

/** Returns what ends it. */
export function listenWhileDrawing(session: Session): () => void {
  const hear = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey || belongsElsewhere(event)) return;
    if (!act(session, event)) return;
    event.preventDefault();
    event.stopPropagation();
  };
  addEventListener("keydown", hear, { capture: true });
  return () => removeEventListener("keydown", hear, { capture: true });
}

/** Enter presses the button that has the focus; a dialog or a field has all keys for itself. */
function belongsElsewhere({ target, key }: KeyboardEvent): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.closest("dialog[open]") || target.matches("textarea, select, input:not([type=checkbox])")) return true;
  return key === "Enter" && target.matches("button, a, summary");
}

function act(session: Session, { key, shiftKey }: KeyboardEvent): boolean {
  const way = WAYS[key];
  if (way) {
    const step = shiftKey ? BIG_STEP_PX : STEP_PX;
    session.nudge(way[0] * step, way[1] * step);
    return true;
  }
  const does: Record<string, (() => void) | undefined> = {
    Enter: () => void session.saveDrawing(),
    Escape: () => session.stopDrawing(),
    Insert: () => session.insertCorner(),
    Delete: () => session.deleteCorner(),
    Backspace: () => session.deleteCorner(),
    ...(session.store.now.keysOn ? letters(session) : {}),
  };
  does[key.length === 1 ? key.toLowerCase() : key]?.();
  return key in does || key.toLowerCase() in does;
}

/** Single characters can be switched off, as all of these can. */
const letters = (session: Session): Record<string, () => void> => ({
  ",": () => session.chooseCorner(-1),
  ".": () => session.chooseCorner(1),
  c: () => session.cornerAtCross(),
  s: () => session.square(),
});
