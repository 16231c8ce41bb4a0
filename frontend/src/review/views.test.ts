import { expect, it } from "vitest";

import type { Shelf } from "./looks";
import { NO_BEFORE, NO_MAP, createViews, shown } from "./views";

function page(facts: { before?: boolean; ready?: boolean; things?: Record<string, string> } = {}) {
  const { before = true, ready = true, things = {} } = facts;
  const shelf: Shelf = {
    getItem: (key) => things[key] ?? null,
    setItem: (key, value) => void (things[key] = value),
  };
  const said: string[] = [];
  const views = createViews(() => shelf);
  views.open({ user: "ana", before, say: (text) => said.push(text) });
  views.store.set({ ready });
  return { views, said, things, now: () => shown(views.store.now) };
}

it("shows one way at a time, and ends it when it is asked for again", () => {
  const { views, now } = page();
  views.swipe();
  expect(now()).toBe("swipe");
  views.sideBySide();
  expect(now()).toBe("side");
  views.sideBySide();
  expect(now()).toBe("one");
});

it("is as the person left it, on the next page and for that person", () => {
  const { views, things } = page();
  views.sideBySide();

  expect(page({ things }).now()).toBe("side");
  const another = createViews(() => ({ getItem: (key) => things[key] ?? null, setItem: () => undefined }));
  another.open({ user: "ben", before: true, say: () => undefined });
  expect(another.store.now.mode).toBe("one");
});

it("says why nothing is compared without an image from before, or without a map", () => {
  const { views, said, now } = page({ before: false });
  views.swipe();
  views.blink(true);
  expect([now(), views.store.now.blinking, said]).toEqual(["one", false, [NO_BEFORE, NO_BEFORE]]);

  const mapless = page({ ready: false });
  mapless.views.sideBySide();
  expect([mapless.now(), mapless.said]).toEqual(["one", [NO_MAP]]);
});

it("keeps the habit on a page that cannot follow it", () => {
  const things = { "views:ana": '"swipe"' };
  const alone = page({ before: false, things });
  alone.views.sideBySide();

  expect(page({ things }).now()).toBe("swipe");
});

it("rests the swipe while something is drawn, and goes on after it", () => {
  const { views, now } = page();
  views.swipe();
  views.store.set({ drawing: true });
  expect(now()).toBe("one");
  views.store.set({ drawing: false });
  expect(now()).toBe("swipe");
  views.sideBySide();
  views.store.set({ drawing: true });
  expect(now()).toBe("side"); // both maps stay whole
});

it("blinks for as long as it is held", () => {
  const { views } = page();
  views.blink(true);
  expect(views.store.now.blinking).toBe(true);
  views.blink(false);
  expect(views.store.now.blinking).toBe(false);
});

it("keeps the image before for those who cannot hold a key, until it is let go", () => {
  const { views, said } = page();
  const both = () => [views.store.now.kept, views.store.now.blinking];
  views.keepBefore();
  expect(both()).toEqual([true, true]);
  views.blink(true);
  views.blink(false);
  expect(both()).toEqual([true, true]);
  views.keepBefore();
  expect(both()).toEqual([false, false]);
  views.keepBefore();
  views.letGo();
  expect(both()).toEqual([false, false]);
  views.keepBefore();
  views.one();
  expect(both()).toEqual([false, false]);
  expect(said[0]).toContain("until you ask again");
});

it("wants the image before only once it may be blinked to", () => {
  const { views } = page();
  views.sideBySide(); // has a map of its own
  expect(views.store.now.wanted).toBe(false);
  views.blink(true);
  views.blink(false);
  expect(views.store.now.wanted).toBe(true);

  const near = page();
  near.views.want();
  expect(near.views.store.now.wanted).toBe(true);
  const alone = page({ before: false });
  alone.views.want();
  alone.views.keepBefore();
  expect([alone.views.store.now.wanted, alone.views.store.now.kept]).toEqual([false, false]);
});

it("keeps the line on the map", () => {
  const { views } = page();
  views.moveSplit(-5);
  expect(views.store.now.split).toBe(0);
  views.moveSplit(130);
  expect(views.store.now.split).toBe(100);
});
