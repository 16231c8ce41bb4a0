import { afterEach, beforeEach, expect, it, vi } from "vitest";

import type { Given } from "../api/answers";
import { openTab } from "./answersInTests";
import { openLog } from "./log/database";
import type { Answer } from "./log/sender";

const PAGE = "look:a1";
const AWAY: Answer = { is: "away", why: "unreachable", message: "No line." };
const ANOTHER: Answer = { is: "away", why: "another", message: "Somebody else." };
const SAVED: Answer = { is: "saved", building: null, also: [] };

let user = 900;
const kills: (() => void)[] = [];

beforeEach(() => {
  user += 1; // a log of its own for each test
});
afterEach(() => {
  for (const kill of kills.splice(0)) kill();
});

/** Takes each id once; answers otherwise while it is told to. */
class Server {
  taken: Given[] = [];
  heard = 0;
  instead: Answer | null = null;

  send = (given: Given): Promise<Answer> => {
    this.heard += 1;
    if (this.instead) return Promise.resolve(this.instead);
    if (!this.taken.some(({ id }) => id === given.id)) this.taken.push(given);
    return Promise.resolve(SAVED);
  };

  get things(): (string | null)[] {
    return this.taken.map(({ building }) => building);
  }
}

const tab = (server: Server, page = PAGE, open?: Parameters<typeof openTab>[3]) => {
  const { answers, kill } = openTab(user, page, server.send, open);
  kills.push(kill);
  return { answers, kill };
};

const destroyed = { kind: "look", answer: "destroyed" } as const;
const unsaved = (one: ReturnType<typeof tab>): number => one.answers.store.now.waiting.length;
const saved = (one: ReturnType<typeof tab>) => vi.waitFor(() => expect(unsaved(one)).toBe(0), 10_000);

it("answers without a line stay in the browser when the tab is killed, and arrive once each", async () => {
  const server = new Server();
  server.instead = AWAY;
  const first = tab(server);
  await first.answers.begin();
  for (const thing of ["x", "y", "z"]) first.answers.keep({ thing }, destroyed);
  await vi.waitFor(() => expect(server.heard).toBeGreaterThan(0));
  first.kill();

  const second = tab(server);
  await second.answers.begin();
  expect(unsaved(second)).toBe(3);
  expect([...second.answers.given()]).toEqual(["x", "y", "z"]);
  server.instead = null;
  await saved(second);

  expect(server.things).toEqual(["x", "y", "z"]);
});

it("nothing is sent while somebody else is signed in, and nobody reads another's answers", async () => {
  const server = new Server();
  server.instead = ANOTHER;
  const hers = tab(server);
  await hers.answers.begin();
  hers.answers.keep({ thing: "x" }, destroyed);
  await vi.waitFor(() => expect(hers.answers.store.now.trouble?.why).toBe("another"));

  const his = openTab(user + 1_000, PAGE, server.send);
  kills.push(his.kill);
  await his.answers.begin();

  expect(his.answers.store.now.waiting).toEqual([]);
  expect([unsaved(hers), server.taken]).toEqual([1, []]);
});

it("two tabs know of each other's answers, and one sends what the other left on another page", async () => {
  const server = new Server();
  const [one, other, elsewhere] = [tab(server), tab(server), tab(server, "sample:s1")];
  for (const each of [one, other, elsewhere]) await each.answers.begin();

  one.answers.keep({ thing: "x" }, destroyed);
  await vi.waitFor(() => expect(other.answers.given()).toContain("x"));
  await saved(one);
  await saved(other);
  server.instead = AWAY;
  one.answers.keep({ thing: "y" }, destroyed);
  await vi.waitFor(() => expect(unsaved(other)).toBe(1));
  one.kill();
  other.kill();
  elsewhere.answers.sendNow();
  await vi.waitFor(() => expect(elsewhere.answers.store.now.waitingElsewhere).toBe(1), 10_000);
  server.instead = null;
  await vi.waitFor(() => expect(elsewhere.answers.store.now.waitingElsewhere).toBe(0), 10_000);

  expect(server.things).toEqual(["x", "y"]);
  expect(elsewhere.answers.given().size).toBe(0);
});

it("a held answer is on the disk, is sent when its time is over, and by whichever tab there is", async () => {
  const server = new Server();
  const first = tab(server);
  await first.answers.begin();
  first.answers.keep({ thing: "x" }, destroyed, 150);
  await vi.waitFor(async () => expect(await (await openLog(user, "answers")).waiting()).toHaveLength(1));
  first.kill();
  expect(server.heard).toBe(0);

  const second = tab(server);
  await second.answers.begin();
  await saved(second);

  expect(server.things).toEqual(["x"]);
});

it("a held answer that is taken back is never sent, not even after a reload", async () => {
  const server = new Server();
  const one = tab(server);
  await one.answers.begin();
  const id = one.answers.keep({ thing: "x" }, destroyed, 50) ?? "";

  expect(await one.answers.takeBack(id)).toBe(true);
  one.answers.keep({ thing: "x" }, { kind: "look", answer: "no_damage" });
  await saved(one);
  const again = tab(server);
  await again.answers.begin();
  await new Promise((go) => setTimeout(go, 100));

  expect(server.taken.map(({ kind, ...said }) => "answer" in said && said.answer)).toEqual(["no_damage"]);
});

it("what was sent can no longer be taken back", async () => {
  const server = new Server();
  const one = tab(server);
  await one.answers.begin();
  const id = one.answers.keep({ thing: "x" }, destroyed) ?? "";
  await saved(one);

  expect(await one.answers.takeBack(id)).toBe(false);
  expect(one.answers.given()).toContain("x");
});

it("a refused answer is told until it was read, and what it was about may be asked again", async () => {
  const server = new Server();
  server.instead = { is: "refused", message: "It went to somebody else." };
  const one = tab(server);
  await one.answers.begin();
  one.answers.keep({ thing: "x" }, destroyed);
  await saved(one);

  const again = tab(server);
  await again.answers.begin();
  expect(again.answers.store.now.refusals.map(({ message }) => message)).toEqual([
    "It went to somebody else.",
  ]);
  expect(again.answers.given()).not.toContain("x");
  again.answers.dismissRefusals();
  await vi.waitFor(() => expect(one.answers.store.now.refusals).toEqual([]));
});

it("where nothing can be kept nothing is answered, and the person is told", async () => {
  const server = new Server();
  const one = tab(server, PAGE, async () => ({
    ...(await openLog<Given>(user, "answers")),
    append: () => Promise.reject(new DOMException("full", "QuotaExceededError")),
  }));
  await one.answers.begin();
  one.answers.keep({ thing: "x" }, destroyed);
  await vi.waitFor(() => expect(one.answers.store.now.cannotKeep).toContain("was not given"));

  expect(one.answers.store.now.lost.map(({ draft }) => draft.building)).toEqual(["x"]);
  expect(one.answers.keep({ thing: "y" }, destroyed)).toBeNull();
  expect([one.answers.given().size, server.heard]).toEqual([0, 0]);
});
