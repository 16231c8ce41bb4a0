/** Keys act where nobody types and no dialog is open; single ones only while they are switched on. */
import { possible, there, type Action } from "./actions";
import { actionFor, namesOf } from "./keymap";
import type { ReviewState } from "./state";
import { REASONS, type Workbench } from "./workbench";

const PAN_PX = 100; // of the map, with an arrow key

const ARROWS: Record<string, readonly [right: number, down: number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

/** Listen to the whole page, from its start: what needs the map waits until `desk.views` has it. */
export function listenToKeys(bench: Workbench): void {
  const { desk, store } = bench;
  if (!desk.keysWereOn) bench.setKeys(false);
  store.watch((now, before) => hearState(bench, now, before));

  /** What lasts until its key, known by its place on the keyboard, comes up. */
  const held = new Map<string, Action>();
  const release = (code: string): void => {
    held.get(code)?.release?.(bench);
    held.delete(code);
  };
  const releaseAll = (): void => [...held.keys()].forEach(release);

  // Before all others: the map has arrow keys of its own.
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || taken(event)) return;
    const mode = store.now.drawing ? "drawing" : "review";
    if (desk.store.now.asking && answer(bench, event)) return stop(event);
    const found = actionFor(desk.store.now.keymap, event, mode);
    if (!found || !there(found.action, bench)) return pan(bench, event);
    const { action, key } = found;
    if (!action.fixed && !store.now.keysOn) return;
    stop(event); // also where it is not possible just now: the page must not scroll by Space
    if (!possible(action, bench) || (event.repeat && !action.repeats)) return;
    if (action.release) held.set(event.code, action);
    action.run(bench, key);
  }, { capture: true });
  addEventListener("keyup", ({ code }) => release(code), { capture: true });
  addEventListener("blur", releaseAll);
  document.addEventListener("visibilitychange", releaseAll);
}

/** What a question was about is gone with its building; the switch of the keys is kept. */
function hearState({ desk }: Workbench, now: ReviewState, before: ReviewState): void {
  if (now.keysOn !== before.keysOn) desk.keepKeysOn(now.keysOn);
  const other = now.picked?.uid !== before.picked?.uid || (now.drawing && !before.drawing);
  if (other && desk.store.now.asking) desk.ask(null);
}

/** Whether a key pressed here belongs to the element that has the focus, or to a dialog. */
function taken({ target, key }: KeyboardEvent): boolean {
  if (document.querySelector("dialog[open]")) return true;
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable) return true;
  if (target.matches("textarea, select, input:not([type=range], [type=checkbox])")) return true;
  if (target.matches("input[type=range]") && key.startsWith("Arrow")) return true;
  if (key === "Enter" && target.matches("input")) return false; // a tick box has no use for it
  return (key === " " || key === "Enter") && target.matches("button, a, summary, input");
}

/** While a reason is asked for, digits are reasons, never grades; Escape takes the question back. */
function answer(bench: Workbench, event: KeyboardEvent): boolean {
  const { desk, store } = bench;
  const names = namesOf(event);
  if (names.includes("Escape")) {
    desk.ask(null);
    return true;
  }
  if (desk.store.now.asking !== "unsure" || !store.now.keysOn) return false;
  if (!names.some((name) => /^[0-9]$/.test(name))) return false;
  const because = REASONS[Number(names.find((name) => /^[0-9]$/.test(name))) - 1];
  if (because && !event.repeat) {
    desk.ask(null);
    bench.unsure(because);
  }
  return true;
}

/** Arrow keys move the map, unless they move something where the focus is. */
function pan({ desk, store }: Workbench, event: KeyboardEvent): void {
  const way = ARROWS[event.key];
  const { target } = event;
  if (!way || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  const idle = target === document.body || (target instanceof HTMLElement && target.tabIndex === -1);
  if (!idle || !desk.views.pan || store.now.progress?.state !== "done") return;
  event.preventDefault();
  desk.views.pan(way[0] * PAN_PX, way[1] * PAN_PX);
}

function stop(event: KeyboardEvent): void {
  event.preventDefault();
  event.stopImmediatePropagation();
}
