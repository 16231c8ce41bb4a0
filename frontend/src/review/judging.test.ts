import { afterEach, describe, expect, it, vi } from "vitest";

import type { Given } from "../api/answers";
import type { Mark, Offer, Thing } from "../api/quality";
import { openTab } from "./answersInTests";
import { createJudge, type Judge, type Server } from "./judging";
import type { Answer } from "./log/sender";

const thing = (id: string, kind: Thing["kind"] = "building"): Thing => ({
  id, kind, rings: [], wide: [], frame: kind === "square" ? 0.1 : 0, has_before: false,
});

let user = 500;
const kills: (() => void)[] = [];
afterEach(() => {
  for (const kill of kills.splice(0)) kill();
});

/** What the server keeps, in its order; fails as often as it is told to. */
function world(things: Thing[], failures = 0) {
  user += 1;
  const answers = new Map<string, string>();
  const marks = new Map<string, readonly Mark[]>();
  const line = { failing: failures };
  const send = async (given: Given): Promise<Answer> => {
    if (line.failing-- > 0) return { is: "away", why: "unreachable", message: "No line." };
    answers.set(given.building ?? "", given.answer);
    if (given.kind === "square") marks.set(given.building ?? "", given.marks);
    return { is: "saved", building: null, also: [] };
  };
  const server: Server = {
    next(limit): Promise<Offer> {
      const left = things.filter((one) => !answers.has(one.id));
      return Promise.resolve({ things: left.slice(0, limit), left: left.length });
    },
  };
  const page = async () => {
    const { answers: kept, kill } = openTab(user, "sample:s1", send);
    kills.push(kill);
    const judge = createJudge(server, kept, 1);
    await kept.begin();
    await judge.more();
    return { judge, kill };
  };
  return { page, answers, marks, line };
}

const saved = (judge: Judge) =>
  vi.waitFor(() => expect(judge.answers.store.now.waiting).toEqual([]), 10_000);

describe("judging a sample", () => {
  it("shows the next one before the answer has arrived, and ends when all is judged", async () => {
    const { page, answers } = world(Array.from({ length: 9 }, (_, n) => thing(`b${n}`)));
    const { judge } = await page();
    judge.answer("destroyed");
    expect(judge.store.now.things[0]?.id).toBe("b1");
    for (let n = 1; n < 9; n++) {
      await saved(judge);
      judge.answer("no_damage");
    }
    await saved(judge);
    expect(answers.size).toBe(9);
    await vi.waitFor(() => expect(judge.store.now).toMatchObject({ finished: true, left: 0 }));
  });

  it("keeps answers while the line is down, each sent until it arrives", async () => {
    const { page, answers } = world([thing("a"), thing("b")], 3);
    const { judge } = await page();
    judge.answer("destroyed");
    judge.cannotJudge();
    expect(judge.answers.store.now.waiting).toHaveLength(2);
    await saved(judge);
    expect([...answers]).toEqual([["a", "destroyed"], ["b", "cannot_judge"]]);
  });

  it("keeps them when the tab is killed, and does not ask for them again", async () => {
    const { page, answers, line } = world([thing("a"), thing("b"), thing("c")], Infinity);
    const { judge, kill } = await page();
    judge.answer("destroyed");
    judge.answer("no_damage");
    await vi.waitFor(() => expect(line.failing).toBe(Infinity));
    await new Promise((go) => setTimeout(go, 20)); // on the disk
    kill();

    const { judge: again } = await page();
    expect(again.store.now).toMatchObject({ things: [{ id: "c" }], left: 1 });
    expect(again.answers.store.now.waiting).toHaveLength(2);
    line.failing = 0;
    await saved(again);
    expect([...answers]).toEqual([["a", "destroyed"], ["b", "no_damage"]]);
  });

  it("goes back, and the new answer replaces the old one", async () => {
    const { page, answers } = world([thing("a"), thing("b")]);
    const { judge } = await page();
    judge.answer("destroyed");
    judge.back();
    expect(judge.store.now.things.map((one) => one.id)).toEqual(["a", "b"]);
    judge.answer("no_building");
    await saved(judge);
    expect(answers.get("a")).toBe("no_building");
  });

  it("marks what was missed inside a square only, and not what has an outline", async () => {
    const square = { ...thing("s", "square"), rings: [[[0.6, 0.6], [0.9, 0.6], [0.9, 0.9]]] };
    const { page, answers, marks } = world([square as Thing]);
    const { judge } = await page();
    judge.mark("destroyed");
    judge.move(0.05, 0.5);
    judge.mark("destroyed");
    judge.move(0.8, 0.7);
    judge.mark("destroyed");
    judge.move(0.2, 0.8);
    judge.mark("minor_damage");
    judge.unmark(0);
    judge.allMarked();
    await saved(judge);
    expect(answers.get("s")).toBe("judged");
    expect(marks.get("s")).toEqual([{ x: 0.2, y: 0.8, grade: "minor_damage" }]);
  });
});
