import { afterEach, beforeEach, expect, it, vi } from "vitest";

import { defaultKeymap, type Keymap } from "./keymap";
import { listenToKeys } from "./keys";
import { createStore } from "./store";
import type { Workbench } from "./workbench";

/** As much of an element as a listener asks for. */
class Place extends EventTarget {
  isContentEditable = false;
  tabIndex = 0;
  constructor(readonly tag: string) {
    super();
  }
  matches(selector: string): boolean {
    return selector.split(", ").some((one) => one.replace(/:.*|\[.*/, "") === this.tag);
  }
}

let page: EventTarget;
let dialog: Place | null;
let done: string[];
let bench: Workbench;
const body = new Place("body");

/** A session that only notes what it was told. */
function makeBench(): Workbench {
  const note =
    (name: string) =>
    (...more: unknown[]): void => void done.push([name, ...more].join(" "));
  const store = createStore<Record<string, unknown>>({
    progress: { state: "done" },
    picked: { uid: "a", flagged: false },
    opening: false,
    drawing: null,
    keysOn: true,
  });
  const deskStore = createStore({
    keymap: defaultKeymap() as Keymap,
    asking: null as "unsure" | "flag" | null,
    helpOpen: false,
  });
  const does = ["decide", "unsure", "flag", "unflag", "nudge", "next", "pick", "undo", "stopDrawing"];
  return {
    ...Object.fromEntries(does.map((name) => [name, note(name)])),
    page: { can_review: true, before_scene: "b" },
    store,
    setKeys: (keysOn: boolean) => store.set({ keysOn }),
    desk: {
      store: deskStore,
      keysWereOn: true,
      views: { blink: note("blink"), pan: note("pan") },
      keepKeysOn: note("keep"),
      ask: (asking: "unsure" | "flag" | null) => deskStore.set({ asking }),
      openHelp: note("help"),
    },
  } as unknown as Workbench;
}

beforeEach(() => {
  page = new EventTarget();
  dialog = null;
  done = [];
  vi.stubGlobal("HTMLElement", Place);
  vi.stubGlobal("addEventListener", page.addEventListener.bind(page));
  vi.stubGlobal("document", { body, querySelector: () => dialog, addEventListener: () => {} });
  bench = makeBench();
  listenToKeys(bench);
});

afterEach(() => vi.unstubAllGlobals());

const CODES: Record<string, string> = { " ": "Space" };

function send(type: string, key: string, more: object = {}, target: EventTarget = body): Event {
  const code = CODES[key] ?? (key.length === 1 ? `Key${key.toUpperCase()}` : key);
  const event = new Event(type, { cancelable: true });
  for (const [name, value] of Object.entries({ key, code, ...more })) {
    Object.defineProperty(event, name, { value });
  }
  Object.defineProperty(event, "target", { value: target });
  page.dispatchEvent(event);
  return event;
}

const press = (key: string, more: object = {}, target: EventTarget = body): Event =>
  send("keydown", key, more, target);

it("a key that is held decides once, and nudges on and on", () => {
  press("x");
  press("x", { repeat: true });
  bench.store.set({ drawing: { is: "redraw" } as never });
  press("ArrowLeft");
  press("ArrowLeft", { repeat: true });
  press("ArrowDown", { shiftKey: true });

  expect(done).toEqual(["decide reject", "nudge -1 0", "nudge -1 0", "nudge 0 -10"]);
});

it("what is held ends when its key comes up, also with Shift, or when the window is left", () => {
  press("b");
  press("b", { repeat: true });
  send("keyup", "B", { code: "KeyB", shiftKey: true });
  press("b");
  page.dispatchEvent(new Event("blur"));
  page.dispatchEvent(new Event("blur"));

  expect(done).toEqual(["blink true", "blink false", "blink true", "blink false"]);
});

it("nothing happens while somebody types, or while a dialog is open", () => {
  press("x", {}, new Place("textarea"));
  press("x", { isComposing: true });
  press(" ", {}, new Place("button"));
  dialog = new Place("dialog");
  press("x");
  press("z", { ctrlKey: true });

  expect(done).toEqual([]);
});

it("while a reason is asked for, a digit is a reason and never a grade", () => {
  press("u");
  press("9"); // there is no such reason
  press("3");
  press("3");

  expect(done).toEqual(["unsure hidden", "decide regrade destroyed"]);
});

it("the question goes with Escape, or with its building; the building stays with Escape", () => {
  press("u");
  press("Escape");
  expect([bench.desk.store.now.asking, done]).toEqual([null, []]);
  press("u");
  bench.store.set({ picked: { uid: "b" } as never });
  press("1");

  expect(done).toEqual(["decide regrade minor_damage"]);
});

it("a flag is set and taken back by the same key", () => {
  press("f");
  bench.store.set({ picked: { uid: "a", flagged: true } as never });
  press("f");

  expect(done).toEqual(["flag", "unflag"]);
});

it("with single keys off only those act that no one hits by speaking or by accident", () => {
  bench.setKeys(false);
  for (const key of ["x", "u", "?", "3"]) press(key);
  press("z", { ctrlKey: true });
  press("Escape");

  expect(done).toEqual(["keep false", "undo", "pick "]);
});

it("Space never scrolls the page, and decides on nothing that is not there yet", () => {
  bench.store.set({ opening: true });

  expect(press(" ").defaultPrevented).toBe(true);
  expect(done).toEqual([]);
});

it("arrow keys move the map, but not what has arrow keys of its own", () => {
  press("ArrowRight");
  press("ArrowRight", {}, new Place("input"));
  press("ArrowRight", {}, new Place("canvas"));

  expect(done).toEqual(["pan 100 0"]);
});
