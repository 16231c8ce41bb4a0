import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { Refused } from "../api/client";
import { createJudging, TAKE_BACK_MS, type Item, type Said } from "./judging";

const item = (id: string): Item => ({ id, outline: [], side_m: 60, before: false });

function world(names: string[]) {
  const waiting = names.map(item);
  const sent: string[] = [];
  const prefetched: string[] = [];
  const troubles: Refused[] = [];
  const judge = createJudging({
    next: async (count) => ({ items: waiting.slice(0, count), left: waiting.length }),
    send: async ({ item: { id }, answer }: Said) => {
      const trouble = troubles.shift();
      if (trouble) throw trouble;
      sent.push(`${id} ${answer}`);
      const place = waiting.findIndex((one) => one.id === id);
      if (place >= 0) waiting.splice(place, 1);
    },
    prefetch: ({ id }) => void prefetched.push(id),
    wait: async () => undefined,
  });
  const shown = (): string | undefined => judge.store.now.items[0]?.id;
  return { judge, sent, prefetched, troubles, shown };
}

const settled = async (): Promise<void> => {
  for (let i = 0; i < 20; i += 1) await Promise.resolve();
};

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("the next building is there at once, and its pictures were asked for before", async () => {
  const { judge, prefetched, shown } = world(["a", "b", "c", "d"]);
  await judge.ask();
  expect(prefetched).toEqual(["a", "b", "c"]);

  judge.judge("destroyed");

  expect(shown()).toBe("b");
  expect(judge.store.now.left).toBe(3);
});

test("every building is judged once, though the server still lists what is on its way", async () => {
  const { judge, sent, shown } = world(["a", "b", "c", "d", "e", "f", "g"]);
  await judge.ask();
  const seen: (string | undefined)[] = [];
  while (shown()) {
    seen.push(shown());
    judge.judge("no_damage");
    await settled();
  }
  judge.flush();
  await judge.sent();

  expect(seen).toEqual(["a", "b", "c", "d", "e", "f", "g"]);
  expect(sent).toHaveLength(7);
  expect(judge.store.now).toMatchObject({ left: 0, unsaved: 0 });
});

test("an answer can be taken back until it is sent", async () => {
  const { judge, sent, shown } = world(["a", "b"]);
  await judge.ask();
  judge.judge("destroyed");
  judge.takeBack();
  expect(shown()).toBe("a");

  judge.judge("minor_damage");
  await vi.advanceTimersByTimeAsync(TAKE_BACK_MS);
  judge.takeBack();

  expect(sent).toEqual(["a minor_damage"]);
  expect(shown()).toBe("b");
  expect(judge.store.now.message?.text).toContain("Nothing is left to take back");
});

test("without a connection answers wait, in their order, and are counted", async () => {
  const { judge, sent, troubles } = world(["a", "b"]);
  await judge.ask();
  troubles.push(new Refused("unreachable", "The server cannot be reached."));
  judge.judge("destroyed");
  judge.judge("no_building");
  expect(judge.store.now.unsaved).toBe(2);
  judge.flush();
  await judge.sent();

  expect(sent).toEqual(["a destroyed", "b no_building"]);
  expect(judge.store.now.unsaved).toBe(0);
});

test("what somebody changed meanwhile is shown again with its new version", async () => {
  const { judge, sent, troubles, shown } = world(["a", "b"]);
  await judge.ask();
  troubles.push(new Refused("changed_meanwhile", "Look again.", { version: 7 }));
  judge.judge("destroyed");
  judge.flush();
  await judge.sent();

  expect(sent).toEqual([]);
  expect(shown()).toBe("a");
  expect(judge.store.now.items[0]?.version).toBe(7);
});
