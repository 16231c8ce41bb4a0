import { expect, it } from "vitest";

import { ACTIONS } from "./actions";
import {
  actionFor,
  clash,
  defaultKeymap,
  kept,
  namesOf,
  restored,
  shown,
  spoken,
  unfit,
  withKeys,
  type Press,
} from "./keymap";

const press = (key: string, code = "", more: Partial<Press> = {}): Press => ({
  key,
  code,
  ctrlKey: false,
  metaKey: false,
  altKey: false,
  shiftKey: false,
  ...more,
});

const doneBy = (pressed: Press, keymap = defaultKeymap()): string | undefined =>
  actionFor(keymap, pressed, "review")?.action.name;

it("no two actions share a key where both can be done", () => {
  const keymap = defaultKeymap();

  for (const { name, keys } of ACTIONS) {
    for (const key of keys) expect([key, clash(keymap, name, key)?.name]).toEqual([key, undefined]);
  }
});

it("a key is known by the sign on it, whatever the layout", () => {
  expect(doneBy(press("?", "Slash", { shiftKey: true }))).toBe("help"); // US
  expect(doneBy(press("?", "Minus", { shiftKey: true }))).toBe("help"); // German
  expect(doneBy(press("z", "KeyY", { ctrlKey: true }))).toBe("undo"); // German
  expect(doneBy(press("a", "KeyQ"))).toBe("add"); // French
  expect(doneBy(press("1", "Numpad1"))).toBe("grade1");
  expect(doneBy(press("X", "KeyX"))).toBe("reject"); // caps lock
});

it("where no sign is ours, the place of the key counts: other scripts, digits that take Shift", () => {
  expect(doneBy(press("&", "Digit1"))).toBe("grade1"); // French
  expect(doneBy(press("ч", "KeyX"))).toBe("reject"); // Russian
  expect(doneBy(press("ش", "KeyA"))).toBe("add"); // Arabic
  expect(doneBy(press("я", "KeyZ", { ctrlKey: true }))).toBe("undo");
  expect(doneBy(press("!", "Digit1", { shiftKey: true }))).toBeUndefined(); // no grade by accident
});

it("keys of the browser are left to it, signs typed with AltGraph are not", () => {
  expect(doneBy(press("x", "KeyX", { ctrlKey: true }))).toBeUndefined();
  expect(doneBy(press("x", "KeyX", { altKey: true }))).toBeUndefined();
  const graph = { ctrlKey: true, altKey: true, getModifierState: () => true };
  expect(namesOf(press("@", "KeyQ", graph))).toEqual(["@"]);
  expect(unfit(press("r", "KeyR", { ctrlKey: true }))).toContain("belong to the browser");
  expect(unfit(press("Tab"))).toContain("Choose a letter");
  expect(unfit(press("é"))).toBe("");
});

it("Shift with a letter is another key, with a sign it is how the sign is typed", () => {
  expect(namesOf(press("F", "KeyF", { shiftKey: true }))).toEqual(["Shift+f"]);
  expect(namesOf(press("?", "Slash", { shiftKey: true }))).toEqual(["?"]);
  expect(namesOf(press("ArrowUp", "ArrowUp", { shiftKey: true }))).toEqual(["Shift+ArrowUp"]);
});

it("a key given to another action is taken from the first, and comes back with it", () => {
  const moved = withKeys(defaultKeymap(), "reject", ["e"]);

  expect(doneBy(press("e"), moved)).toBe("reject");
  expect(doneBy(press("x"), moved)).toBeUndefined();
  expect(moved.get("edit")).toEqual([]);
  const back = withKeys(moved, "edit", ["e"]);
  expect(doneBy(press("e"), back)).toBe("edit");
  expect(back.get("reject")).toEqual([]);
});

it("Enter saves what is drawn and accepts what is not", () => {
  const keymap = defaultKeymap();

  expect(clash(keymap, "save", "Enter")).toBeUndefined();
  expect(actionFor(keymap, press("Enter"), "drawing")?.action.name).toBe("save");
  expect(actionFor(keymap, press("Enter"), "review")?.action.name).toBe("accept");
});

it("what a person has set is kept, and nothing else", () => {
  const text = kept(withKeys(defaultKeymap(), "reject", ["r"]), false);

  expect(JSON.parse(text)).toEqual({ version: 1, on: false, keys: { reject: ["r"] } });
  const { keymap, on } = restored(text);
  expect([keymap.get("reject"), keymap.get("accept"), on]).toEqual([["r"], [" ", "Enter"], false]);
});

it("a key that a person has chosen is not taken by an action's default", () => {
  const { keymap } = restored('{"version":1,"keys":{"accept":["a"]}}');

  expect(doneBy(press("a"), keymap)).toBe("accept");
  expect(keymap.get("add")).toEqual([]);
});

it.each([null, "", "{", "[]", '{"version":0,"on":false,"keys":{"accept":["q"]}}',
  '{"version":1,"keys":{"accept":[1],"undo":["u"],"gone":["g"]}}'])(
  "what cannot be read changes nothing: %s",
  (text) => {
    const { keymap, on } = restored(text);

    expect([...keymap]).toEqual([...defaultKeymap()]);
    expect(on).toBe(true);
  },
);

it("keys are named as people and screen readers say them", () => {
  expect([" ", "Ctrl+Shift+z", "Shift+ArrowLeft", "Escape", "x", "+"].map(shown)).toEqual([
    "Space", "Ctrl Shift Z", "Shift ←", "Esc", "X", "+",
  ]);
  expect([" ", "Ctrl+z", "x", "?"].map(spoken)).toEqual(["Space", "Control+Z", "X", "?"]);
});
