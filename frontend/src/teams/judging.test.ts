import { afterEach, expect, test, vi } from "vitest";

import type { Given } from "../api/answers";
import { openTab } from "../review/answersInTests";
import type { Answer } from "../review/log/sender";
import { createJudging, TAKE_BACK_MS, type Item } from "./judging";

const SAVED: Answer = { is: "saved", building: null, also: [] };
const AWAY: Answer = { is: "away", why: "unreachable", message: "The server cannot be reached." };
const LONGER_THAN_HELD_MS = 2 * TAKE_BACK_MS;
const item = (id: string, version = 0): Item => ({ id, outline: [], side_m: 60, before: false, version });

let user = 0;
const kills: (() => void)[] = [];
afterEach(() => {
  for (const kill of kills.splice(0)) kill();
  vi.useRealTimers();
});

/** A page of second looks; `instead` is what the server answers in turn, before it takes anything. */
async function world(names: string[], kind: "look" | "settle" = "look") {
  user += 1;
  const waiting = names.map((id) => item(id));
  const sent: string[] = [];
  const prefetched: string[] = [];
  const instead: Answer[] = [];
  const line = { down: false };
  const send = async ({ building, answer, on_version }: Given): Promise<Answer> => {
    if (line.down) return AWAY;
    const other = instead.shift();
    if (other?.is === "refused") waiting.splice(0, 1, item(building ?? "", 7));
    if (other) return other;
    sent.push(`${building} ${answer}${on_version ? ` on ${on_version}` : ""}`);
    const place = waiting.findIndex(({ id }) => id === building);
    if (place >= 0) waiting.splice(place, 1);
    return SAVED;
  };
  const page = async () => {
    const { answers, kill } = openTab(user, `${kind}:a1`, send);
    kills.push(kill);
    const next = async (count: number) => ({ items: waiting.slice(0, count), left: waiting.length });
    const judge = createJudging({ next, prefetch: ({ id }) => void prefetched.push(id) }, answers, kind);
    await answers.begin();
    await judge.ask();
    return { judge, kill };
  };
  const { judge, kill } = await page();
  const shown = (): string | undefined => judge.store.now.items[0]?.id;
  const unsaved = (): number => judge.answers.store.now.waiting.length;
  const saved = () => vi.waitFor(() => expect(unsaved()).toBe(0), 10_000);
  return { judge, kill, page, sent, prefetched, instead, line, shown, unsaved, saved };
}

test("the next building is there at once, and its pictures were asked for before", async () => {
  const { judge, prefetched, shown } = await world(["a", "b", "c", "d"]);
  expect(prefetched).toEqual(["a", "b", "c"]);

  judge.judge("destroyed");

  expect(shown()).toBe("b");
  expect(judge.store.now.left).toBe(3);
});

test("every building is judged once, though the server still lists what is on its way", async () => {
  const { judge, sent, shown, saved } = await world(["a", "b", "c", "d", "e", "f", "g"]);
  const seen: (string | undefined)[] = [];
  while (seen.length < 7) {
    await vi.waitFor(() => expect(shown()).toBeDefined());
    seen.push(shown());
    judge.judge("no_damage");
  }
  judge.flush();
  await saved();

  expect(seen).toEqual(["a", "b", "c", "d", "e", "f", "g"]);
  expect(sent).toHaveLength(7);
  expect(judge.store.now).toMatchObject({ left: 0, items: [] });
});

test("an answer can be taken back until the next one is given", async () => {
  const { judge, sent, shown, saved } = await world(["a", "b", "c"]);
  judge.judge("destroyed");
  await judge.takeBack();
  expect(shown()).toBe("a");

  judge.judge("minor_damage");
  judge.judge("no_building");
  await vi.waitFor(() => expect(sent).toEqual(["a minor_damage"]));
  await judge.takeBack();
  await judge.takeBack();
  await saved();

  expect(sent).toEqual(["a minor_damage"]);
  expect(shown()).toBe("b");
  expect(judge.store.now.message?.text).toContain("Nothing is left to take back");
});

test("without a connection answers wait, in their order, and are counted", async () => {
  const { judge, sent, instead, unsaved, saved } = await world(["a", "b"]);
  instead.push(AWAY, AWAY);
  judge.judge("destroyed");
  judge.judge("no_building");
  expect(unsaved()).toBe(2);
  judge.flush();
  await saved();

  expect(sent).toEqual(["a destroyed", "b no_building"]);
});

test("a killed tab loses no answer, and what was answered is not shown again", async () => {
  vi.useFakeTimers({ toFake: ["Date", "setTimeout", "clearTimeout"], shouldAdvanceTime: true });
  const { judge, kill, page, sent, line } = await world(["a", "b", "c"]);
  line.down = true;
  judge.judge("destroyed");
  judge.judge("no_building"); // may still be taken back, and is kept all the same
  await vi.waitFor(() => expect(judge.answers.store.now.trouble?.why).toBe("unreachable"));
  kill();

  const { judge: again } = await page();
  expect(again.store.now).toMatchObject({ items: [{ id: "c" }], left: 1 });
  expect(again.answers.store.now.waiting).toHaveLength(2);
  line.down = false;
  await vi.advanceTimersByTimeAsync(LONGER_THAN_HELD_MS);
  await vi.waitFor(() => expect(again.answers.store.now.waiting).toEqual([]), 10_000);
  expect([...sent].sort()).toEqual(["a destroyed", "b no_building"]);
});

test("a building that another tab judged is not shown here any more", async () => {
  const { judge, page, shown, saved } = await world(["a", "b"]);
  const { judge: other } = await page();

  other.judge("destroyed");
  await vi.waitFor(() => expect(shown()).toBe("b"));
  other.flush();
  await saved();
  expect(judge.answers.store.now.refusals).toEqual([]);
});

test("what somebody changed meanwhile is shown again with its new version", async () => {
  const { judge, sent, instead, shown, saved } = await world(["a", "b"], "settle");
  instead.push({ is: "refused", message: "Look again." });
  judge.judge("destroyed");
  judge.flush();
  await vi.waitFor(() => expect(judge.store.now.items).toHaveLength(2));
  expect(judge.answers.store.now.refusals[0]?.message).toBe("Look again.");

  while (shown() !== "a") judge.judge("unsure");
  judge.judge("destroyed");
  judge.flush();
  await saved();
  expect(sent).toContain("a destroyed on 7");
});
