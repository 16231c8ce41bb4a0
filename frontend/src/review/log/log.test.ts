import "fake-indexeddb/auto";
import { afterEach, beforeEach, expect, it } from "vitest";

import type { Building, Draft } from "../../api/types";
import { openLog, type Database } from "./database";
import { createKeeper, type Keeper } from "./keeper";
import { net, type Act, type Entry } from "./ledger";
import type { Answer, SenderParts, Trouble } from "./sender";

const ASSESSMENT = "a1";
let user = 0;
let made = 0;
const ends: (() => void)[] = [];

beforeEach(() => {
  user += 1; // a database of its own for each test
});
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

const house = (uid: string, version = 0, grade = "no_damage"): Building =>
  ({ uid, version, grade, review: "unreviewed", history: [] }) as unknown as Building;

function entry(building: string | null, onVersion: number, act: Act = { is: "do" }): Entry {
  made += 1;
  const kind = act.is === "undo" ? "undo" : building === null ? "add" : "accept";
  const draft: Draft = { id: `d${made}`, kind, building, on_version: onVersion };
  return {
    seq: Infinity, assessment: ASSESSMENT, user, made_at: "2026-01-01T00:00:00Z", draft, act,
    base: building ? house(building, onVersion) : null,
  };
}

/** The server: applies each id once, in the order it hears them, on the version that stands. */
class Server {
  readonly versions = new Map<string, number>();
  readonly applied: string[] = [];
  heard = 0;
  /** What to answer instead, in turn; null for the truth. */
  answers: (Answer | "lost" | null)[] = [];

  send = (_assessment: string, draft: Draft): Promise<Answer> => {
    this.heard += 1;
    const instead = this.answers.shift() ?? null;
    if (instead !== null && instead !== "lost") return Promise.resolve(instead);
    const answer = this.apply(draft);
    // The answer is lost on the way: applied all the same.
    return Promise.resolve(instead === "lost" ? away : answer);
  };

  /** Together: how many each time; what to answer instead, in turn. */
  readonly together: number[] = [];
  insteadOfAll: (Answer | "lost" | null)[] = [];

  /** In order, and nothing of a building after something of it was not applied. */
  sendSeveral = (_assessment: string, drafts: readonly Draft[]): ReturnType<SendSeveral> => {
    this.together.push(drafts.length);
    const instead = this.insteadOfAll.shift() ?? null;
    if (instead !== null && instead !== "lost") {
      return Promise.resolve(instead as Exclude<Answer, { is: "saved" }>);
    }
    const held = new Set<string | null>();
    let failed = false;
    const answers = drafts.map((draft) => {
      if (failed || held.has(draft.building)) return null;
      failed = this.fails.delete(draft.id);
      const answer = failed ? broken : this.apply(draft);
      if (answer.is !== "saved") held.add(draft.building);
      return answer;
    });
    return Promise.resolve(instead === "lost" ? away : { is: "answered", answers });
  };
  /** Ids at which it fails once. */
  readonly fails = new Set<string>();

  private apply(draft: Draft): Answer {
    const uid = draft.building ?? `made-of-${draft.id}`;
    const version = this.versions.get(uid) ?? 0;
    const saved = (): Answer => ({
      is: "saved", building: house(uid, this.versions.get(uid) ?? 0), also: [],
    });
    if (this.applied.includes(draft.id)) return saved();
    if (version !== draft.on_version) {
      return { is: "conflict", message: "changed", theirs: house(uid, version, "destroyed") };
    }
    this.versions.set(uid, version + 1);
    this.applied.push(draft.id);
    return saved();
  }
}

type SendSeveral = NonNullable<SenderParts["sendSeveral"]>;
const away: Exclude<Answer, { is: "saved" }> = { is: "away", why: "unreachable", message: "no connection" };
const broken: Answer = { is: "away", why: "failed", message: "500" };

/** One lock for all tabs of a test, as the browser has it. */
function lock(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const mine = last.then(work);
    last = mine.catch(() => undefined);
    return mine;
  };
}

interface Tab {
  keeper: Keeper;
  troubles: (Trouble | null)[];
  lost: Entry[];
  heard: string[];
}

/** A tab of the person; `wait` lets a test hold it between two tries. */
async function tab(
  server: Server,
  alone = lock(),
  open: () => Promise<Database> = () => openLog(user),
  several = false,
): Promise<Tab> {
  const channel = new BroadcastChannel(`test-${user}`);
  const troubles: (Trouble | null)[] = [];
  const lost: Entry[] = [];
  const heard: string[] = [];
  let over = false;
  const keeper = createKeeper({
    assessment: ASSESSMENT,
    open,
    channel,
    send: server.send,
    ...(several ? { sendSeveral: server.sendSeveral } : {}),
    alone: async (work) => {
      if (!over) await alone(work);
    },
    wait: () => (over ? new Promise(() => undefined) : new Promise((go) => setTimeout(go, 1))),
    onTrouble: (trouble) => troubles.push(trouble),
    onAnswer: () => undefined,
    onChange: () => undefined,
    onHeard: (entries) => heard.push(...entries.map(({ draft }) => draft.id)),
    onBroken: (entries) => lost.push(...entries),
    onElsewhere: () => undefined,
  });
  ends.push(() => {
    over = true;
    channel.close();
  });
  await keeper.begin();
  return { keeper, troubles, lost, heard };
}

async function until(holds: () => boolean): Promise<void> {
  for (let tries = 0; tries < 2_000; tries += 1) {
    if (holds()) return;
    await new Promise((go) => setTimeout(go, 1));
  }
  throw new Error("it never came about");
}

const ids = (entries: readonly Entry[]): string[] => entries.map(({ draft }) => draft.id);

it("keeps decisions in order, sends each once, and has nothing left", async () => {
  const server = new Server();
  const { keeper } = await tab(server);
  const all = [entry("b1", 0), entry("b1", 1), entry("b2", 0)];

  for (const one of all) keeper.keep([one]);
  expect(ids(keeper.ledger.waiting())).toEqual(ids(all)); // known before it is on the disk
  await until(() => keeper.ledger.waiting().length === 0);

  expect(server.applied).toEqual(ids(all));
  expect(await (await openLog(user)).waiting()).toEqual([]);
});

it("sixty decisions without a connection stay, and arrive once each when it is back", async () => {
  const server = new Server();
  server.answers = Array<Answer>(5).fill(away);
  const { keeper, troubles } = await tab(server);
  const all = Array.from({ length: 60 }, (_, n) => entry(`b${n % 6}`, Math.floor(n / 6)));

  for (const one of all) keeper.keep([one]);
  await until(() => keeper.ledger.waiting().length === 0);

  expect(server.applied).toEqual(ids(all));
  expect(troubles.some((one) => one?.why === "unreachable")).toBe(true);
  expect(troubles.at(-1)).toBeNull();
});

it("an answer that was lost on the way makes no second decision", async () => {
  const server = new Server();
  server.answers = ["lost", "lost"];
  const { keeper } = await tab(server);
  const one = entry("b1", 0);

  keeper.keep([one]);
  await until(() => keeper.ledger.waiting().length === 0);

  expect(server.heard).toBe(3);
  expect(server.applied).toEqual(ids([one]));
});

it("a tab that died after any step loses nothing and doubles nothing", async () => {
  // Kept, but the tab died before it was sent; sent, but it died before the answer was written.
  const server = new Server();
  const database = await openLog(user);
  const [unsent, unanswered] = [entry("b1", 0), entry("b2", 0)];
  await database.append([unanswered, unsent]);
  await server.send(ASSESSMENT, unanswered.draft);
  database.close();

  const { keeper, heard } = await tab(server);
  await until(() => keeper.ledger.waiting().length === 0);

  expect(heard).toEqual(ids([unanswered, unsent]));
  expect(server.applied).toEqual(ids([unanswered, unsent]));
});

it("two tabs send in turn; each knows of the other's decisions and their ends", async () => {
  const server = new Server();
  const alone = lock();
  const [one, other] = [await tab(server, alone), await tab(server, alone)];
  const all = Array.from({ length: 20 }, (_, n) => entry(`b${n}`, 0));

  for (const [n, decided] of all.entries()) (n % 2 ? one : other).keeper.keep([decided]);
  const none = ({ keeper }: Tab): boolean => keeper.ledger.waiting().length === 0;
  await until(() => none(one) && none(other) && server.applied.length === 20);

  expect([...server.applied].sort()).toEqual(ids(all).sort());
  expect(one.keeper.ledger.all()).toHaveLength(20);
  expect(other.keeper.ledger.all()).toHaveLength(20);
});

it("what cannot be kept is said to be lost, and was never decided", async () => {
  const server = new Server();
  const { keeper, lost } = await tab(server, lock(), async () => ({
    ...(await openLog(user)),
    append: () => Promise.reject(new DOMException("full", "QuotaExceededError")),
  }));
  const one = entry("b1", 0);

  keeper.keep([one]);
  await keeper.written();

  expect(ids(lost)).toEqual(ids([one]));
  expect(keeper.ledger.all()).toEqual([]);
  expect(server.heard).toBe(0);
});

it("a fault of the server with one decision holds up only its own building", async () => {
  const server = new Server();
  server.answers = [broken, null, null, broken];
  const { keeper } = await tab(server);
  const [bad, later, other] = [entry("b1", 0), entry("b1", 1), entry("b2", 0)];

  keeper.keep([bad, later, other]);
  await until(() => keeper.ledger.waiting().length === 0);

  expect(server.applied).toEqual(ids([other, bad, later]));
});

it("a conflict takes later decisions on its building along, and they wait for the person", async () => {
  const server = new Server();
  server.versions.set("b1", 1); // somebody else was quicker
  const { keeper } = await tab(server);
  const [first, second, other] = [entry("b1", 0), entry("b1", 1), entry("b2", 0)];

  keeper.keep([first, second, other]);
  await until(() => keeper.ledger.waiting().length === 0);

  expect(server.applied).toEqual(ids([other]));
  const [clash] = keeper.ledger.clashes();
  expect(ids(clash?.mine ?? [])).toEqual(ids([first, second]));
  expect([clash?.base?.version, clash?.theirs.version]).toEqual([0, 1]);
  expect(keeper.ledger.stack().undo).toEqual([other].map((one) => ({ ...one, seq: 3 })));

  // It is still there after a reload, and gone in all tabs once somebody chose.
  const again = await tab(server);
  expect(again.keeper.ledger.clashes()).toHaveLength(1);
  const at = new Date().toISOString();
  again.keeper.keep([], (clash?.ids ?? []).map((id) => ({ id, choice: "theirs" as const, at })));
  await until(() => keeper.ledger.clashes().length === 0);
});

it("a refused decision, and what stood on it, is shown until it was seen", async () => {
  const server = new Server();
  server.answers = [{ is: "refused", message: "The outline cannot be used." }];
  const { keeper } = await tab(server);
  const added = entry(null, 0);
  const undone = { ...entry(null, 1, { is: "undo", of: added.draft.id }) };

  keeper.keep([added, undone]);
  await until(() => keeper.ledger.waiting().length === 0);

  expect(keeper.ledger.refusals().map(({ entry: { draft } }) => draft.id)).toEqual(
    ids([added, undone]),
  );
  expect(keeper.ledger.stack()).toEqual({ undo: [], redo: [] });
});

it("an undo queues behind what it takes back, even of a building without a name yet", async () => {
  const server = new Server();
  server.answers = [away, away];
  const { keeper } = await tab(server);
  const added = entry(null, 0);
  keeper.keep([added]);

  const version = keeper.ledger.versionSince(added);
  const undo = { ...entry(null, version ?? -1, { is: "undo", of: added.draft.id }) };
  const draft: Draft = { ...undo.draft, kind: "undo" };
  keeper.keep([{ ...undo, draft }]);
  await until(() => keeper.ledger.waiting().length === 0);

  expect(version).toBe(1);
  expect(server.versions.get(`made-of-${added.draft.id}`)).toBe(2);
});

it("two hundred and fifty decisions can be taken back and done again, across a reload", async () => {
  const server = new Server();
  const { keeper } = await tab(server);
  const all = Array.from({ length: 250 }, (_, n) => entry(`b${n % 50}`, Math.floor(n / 50)));
  keeper.keep(all);
  await until(() => keeper.ledger.waiting().length === 0);

  const { keeper: second } = await tab(server);
  for (let n = 0; n < 250; n += 1) {
    const act = second.ledger.stack().undo.at(-1) as Entry;
    const version = second.ledger.versionSince(act) as number;
    second.keep([entry(act.draft.building, version, { is: "undo", of: act.draft.id })]);
  }
  await until(() => second.ledger.waiting().length === 0);
  expect(second.ledger.stack().undo).toEqual([]);
  expect(server.applied).toHaveLength(500);

  const { keeper: third } = await tab(server);
  expect(ids(third.ledger.stack().redo)).toEqual(ids([...all].reverse()));
  const act = third.ledger.stack().redo.at(-1) as Entry;
  const version = third.ledger.versionSince(act) as number;
  third.keep([entry(act.draft.building, version, { is: "redo", of: act.draft.id })]);
  await until(() => third.ledger.waiting().length === 0);
  expect([third.ledger.stack().undo.length, third.ledger.stack().redo.length]).toEqual([1, 249]);

  third.keep([entry("b60", 0)]); // a new act: what was undone is past
  expect(third.ledger.stack().redo).toEqual([]);
});

it("what somebody else changed between two of ours cannot be taken back as if it were ours", async () => {
  const server = new Server();
  const { keeper } = await tab(server);
  const first = entry("b1", 0);
  const third = entry("b1", 2); // version 2 was somebody else's

  keeper.keep([first, third]);

  expect(keeper.ledger.versionSince(third)).toBe(3);
  expect(keeper.ledger.versionSince(first)).toBeNull();
});

it("what was taken back again is not part of a clash", () => {
  const [kept, dropped] = [entry("b1", 0), entry("b1", 1)];
  const undo = entry("b1", 2, { is: "undo", of: dropped.draft.id });

  expect(net([kept, dropped, undo])).toEqual([kept]);
});

it("how far our own decisions carry a building is known, and not beyond somebody else's", async () => {
  const { keeper } = await tab(new Server());
  keeper.keep([entry("b1", 2), entry("b1", 3), entry("b1", 6), entry("b2", 4)]);

  expect([2, 3, 4, 5, 0].map((version) => keeper.ledger.versionOver("b1", version))).toEqual([4, 4, 4, 5, 0]);
});

/** A tab that sends several at once. */
const quickTab = (server: Server, alone = lock()): Promise<Tab> => tab(server, alone, undefined, true);
const none = ({ keeper }: Tab): boolean => keeper.ledger.waiting().length === 0;

it("a hundred and twenty decisions that waited arrive in three requests, in order, once each", async () => {
  const server = new Server();
  server.insteadOfAll = [away];
  const mine = await quickTab(server);
  const all = Array.from({ length: 120 }, (_, n) => entry(`b${n % 60}`, Math.floor(n / 60)));

  mine.keeper.keep(all);
  await until(() => none(mine));

  expect(server.together).toEqual([50, 50, 50, 20]); // the first had no line
  expect([server.applied, server.heard]).toEqual([ids(all), 0]);
  expect([mine.troubles.some((one) => one?.why === "unreachable"), mine.troubles.at(-1)]).toEqual([true, null]);
});

it("a decision that waits alone goes alone", async () => {
  const server = new Server();
  const mine = await quickTab(server);

  for (const one of [entry("b1", 0), entry("b1", 1)]) {
    mine.keeper.keep([one]);
    await until(() => none(mine));
  }

  expect([server.heard, server.together]).toEqual([2, []]);
});

it("of several, what met a conflict takes along what stood on it, and hides nothing of the others", async () => {
  const server = new Server();
  server.versions.set("b2", 1); // somebody else was quicker; what stands on ours would fit by chance
  const mine = await quickTab(server);
  const all = [entry("b1", 0), entry("b2", 0), entry("b2", 1), entry("b3", 0), entry("b1", 1)];
  const [first, conflict, stood, third, last] = all as [Entry, Entry, Entry, Entry, Entry];

  mine.keeper.keep(all);
  await until(() => none(mine));

  expect(server.applied).toEqual(ids([first, third, last]));
  expect(mine.keeper.ledger.clashes().map(({ mine }) => ids(mine))).toEqual([ids([conflict, stood])]);
  expect(server.versions.get("b2")).toBe(1);
});

it("several whose answer was lost, or that were sent by a tab that died, are made once each", async () => {
  const server = new Server();
  const all = Array.from({ length: 120 }, (_, n) => entry(`b${n}`, 0));
  const database = await openLog(user);
  await database.append(all);
  await server.sendSeveral(ASSESSMENT, all.slice(0, 50).map(({ draft }) => draft)); // and it died
  database.close();
  server.insteadOfAll = ["lost", null, "lost"];

  const mine = await quickTab(server);
  await until(() => none(mine));

  expect(server.applied).toEqual(ids(all));
  expect(mine.keeper.ledger.stack().undo).toHaveLength(120);
});

it("a fault at one of several holds up only its own building", async () => {
  const server = new Server();
  const mine = await quickTab(server);
  const all = [entry("b1", 0), entry("b2", 0), entry("b2", 1), entry("b3", 0), entry("b4", 0)];
  const [first, bad, later, third, fourth] = all as [Entry, Entry, Entry, Entry, Entry];
  server.fails.add(bad.draft.id);

  mine.keeper.keep(all);
  await until(() => none(mine));

  expect(server.applied).toEqual(ids([first, third, fourth, bad, later]));
  expect(mine.troubles.some((one) => one?.why === "failed")).toBe(true);
});

it("what the server will not take together is sent one by one, and nothing of it is refused", async () => {
  for (const instead of [{ is: "refused", message: "No such address." }, broken] as Answer[]) {
    const server = new Server();
    server.insteadOfAll = [instead];
    user += 1;
    const mine = await quickTab(server);
    const all = [entry("b1", 0), entry("b2", 0), entry("b3", 0)];

    mine.keeper.keep(all);
    await until(() => none(mine));

    expect([server.applied, server.heard, server.together]).toEqual([ids(all), 3, [3]]);
    expect(mine.keeper.ledger.refusals()).toEqual([]);
  }
});

it("nothing of several is settled while somebody else, or nobody, is signed in", async () => {
  const server = new Server();
  server.insteadOfAll = [
    { is: "away", why: "another", message: "Somebody else." },
    { is: "away", why: "signed_out", message: "Sign in." },
  ];
  const mine = await quickTab(server);
  const all = [entry("b1", 0), entry("b2", 0)];

  mine.keeper.keep(all);
  await until(() => none(mine));

  expect(mine.troubles.map((one) => one?.why)).toEqual(expect.arrayContaining(["another", "signed_out"]));
  expect([server.applied, server.heard]).toEqual([ids(all), 0]);
});

it("an undo of what has no name yet is not sent together with it", async () => {
  const server = new Server();
  server.insteadOfAll = [away];
  const mine = await quickTab(server);
  const [other, added] = [entry("b1", 0), entry(null, 0)];
  mine.keeper.keep([other, added]);
  const version = mine.keeper.ledger.versionSince(added) ?? -1;
  const undo = entry(null, version, { is: "undo", of: added.draft.id });
  mine.keeper.keep([{ ...undo, draft: { ...undo.draft, kind: "undo" } }, entry("b2", 0)]);
  await until(() => none(mine));

  expect(server.together.every((count) => count === 2)).toBe(true);
  expect(server.versions.get(`made-of-${added.draft.id}`)).toBe(2);
});

it("two tabs that send several in turn make each decision once", async () => {
  const server = new Server();
  const alone = lock();
  const [one, other] = [await quickTab(server, alone), await quickTab(server, alone)];
  const all = Array.from({ length: 80 }, (_, n) => entry(`b${n % 40}`, Math.floor(n / 40)));

  for (const [n, decided] of all.entries()) (n % 40 < 20 ? one : other).keeper.keep([decided]);
  await until(() => none(one) && none(other) && server.applied.length === 80);

  expect([...server.applied].sort()).toEqual(ids(all).sort());
  expect([...server.versions.values()]).toEqual(Array(40).fill(2));
});
