/** Single keys, active only where nobody types, and only while they are switched on. */
import { gradeOfKey } from "../geo/grades";
import type { Session } from "./session";

export interface Held {
  showBefore(is: boolean): void;
}

/** Whether a key pressed here belongs to the element that has the focus. */
function taken(target: EventTarget | null, key: string): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.closest("dialog[open]")) return true;
  if (target.matches("textarea, select, input:not([type=range], [type=checkbox])")) return true;
  return (key === " " || key === "Enter") && target.matches("button, a, summary, input");
}

export function listenToKeys(session: Session, held: Held): void {
  addEventListener("keydown", (event) => {
    if (taken(event.target, event.key)) return;
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") {
      event.preventDefault();
      return event.shiftKey ? session.redo() : session.undo();
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") return escape(session);
    if (!session.store.now.keysOn || event.repeat) return;
    if (act(session, held, event.key)) event.preventDefault();
  });
  addEventListener("keyup", ({ key }) => {
    if (key.toLowerCase() === "b") held.showBefore(false);
  });
}

function escape(session: Session): void {
  if (session.store.now.drawing) session.stopDrawing();
  else void session.pick(null);
}

function act(session: Session, held: Held, key: string): boolean {
  const grade = gradeOfKey(key);
  if (grade && session.store.now.drawing?.is === "add") session.chooseGrade(grade);
  else if (grade) session.decide("regrade", grade);
  else {
    const action = actions(session, held)[key.toLowerCase()];
    action?.();
    return action !== undefined;
  }
  return true;
}

const actions = (session: Session, held: Held): Record<string, () => void> => ({
  " ": () => session.decide("accept"),
  enter: () => session.decide("accept"),
  x: () => session.decide("reject"),
  n: () => void session.next(),
  e: () => session.redraw(),
  a: () => session.add(),
  m: () => session.markArea(),
  b: () => held.showBefore(true),
});
