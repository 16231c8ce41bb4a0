import { beforeEach, expect, it, vi } from "vitest";

import { createDesk, keySwitch } from "./desk";
import { withKeys } from "./keymap";

beforeEach(() => {
  const shelf = new Map<string, string>();
  vi.stubGlobal("localStorage", {
    getItem: (place: string) => shelf.get(place) ?? null,
    setItem: (place: string, text: string) => void shelf.set(place, text),
  });
});

it("single keys switched off where one judges are off where one reviews, and the other way round", () => {
  keySwitch("ana").keep(false);
  const desk = createDesk("ana");
  expect(desk.keysWereOn).toBe(false);

  desk.keepKeysOn(true);
  expect(keySwitch("ana").on()).toBe(true);
});

it("another person's switch is another", () => {
  keySwitch("ana").keep(false);
  expect(keySwitch("bea").on()).toBe(true);
});

it("the switch leaves keys of one's own as they are, those changed since it was made as well", () => {
  const page = keySwitch("ana");
  const desk = createDesk("ana");
  desk.setKeymap(withKeys(desk.store.now.keymap, "reject", ["r"]));

  page.keep(false);

  expect(createDesk("ana").store.now.keymap.get("reject")).toEqual(["r"]);
});
