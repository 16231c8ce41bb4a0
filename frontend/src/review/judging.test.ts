import { describe, expect, it, vi } from "vitest";

import { Refused } from "../api/client";
import type { Mark, Offer, Thing } from "../api/quality";
import { createJudge, type Server } from "./judging";

const thing = (id: string, kind: Thing["kind"] = "building"): Thing => ({
  id, kind, rings: [], wide: [], frame: kind === "square" ? 0.1 : 0, has_before: false,
});

/** What the server keeps, in its order; fails as often as it is told to. */
function world(things: Thing[], failures = 0) {
  const answers = new Map<string, string>();
  const marks = new Map<string, Mark[]>();
  let failing = failures;
  const say = (id: string, answer: string): Promise<void> => {
    if (failing-- > 0) return Promise.reject(new Refused("unreachable", "No line."));
    answers.set(id, answer);
    return Promise.resolve();
  };
  const server: Server = {
    next(limit): Promise<Offer> {
      const left = things.filter((one) => !answers.has(one.id));
      return Promise.resolve({ things: left.slice(0, limit), left: left.length });
    },
    judgeBuilding: say,
    judgeSquare(id, answer, all) {
      marks.set(id, all);
      return say(id, answer);
    },
  };
  return { server, answers, marks };
}

const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

describe("judging a sample", () => {
  it("shows the next one before the answer has arrived, and ends when all is judged", async () => {
    const { server, answers } = world(Array.from({ length: 9 }, (_, n) => thing(`b${n}`)));
    const judge = createJudge(server, 1);
    await judge.more();
    judge.answer("destroyed");
    expect(judge.store.now.things[0]?.id).toBe("b1");
    for (let n = 1; n < 9; n++) {
      await settle();
      judge.answer("no_damage");
    }
    await settle();
    expect(answers.size).toBe(9);
    expect(judge.store.now).toMatchObject({ finished: true, left: 0, unsaved: 0 });
  });

  it("keeps answers while the line is down, each sent until it arrives", async () => {
    const { server, answers } = world([thing("a"), thing("b")], 3);
    const judge = createJudge(server, 1);
    await judge.more();
    judge.answer("destroyed");
    judge.cannotJudge();
    expect(judge.store.now.unsaved).toBe(2);
    await vi.waitFor(() => expect(judge.store.now.unsaved).toBe(0), 10_000);
    expect([...answers]).toEqual([["a", "destroyed"], ["b", "cannot_judge"]]);
  });

  it("goes back, and the new answer replaces the old one", async () => {
    const { server, answers } = world([thing("a"), thing("b")]);
    const judge = createJudge(server, 1);
    await judge.more();
    judge.answer("destroyed");
    judge.back();
    expect(judge.store.now.things.map((one) => one.id)).toEqual(["a", "b"]);
    judge.answer("no_building");
    await settle();
    expect(answers.get("a")).toBe("no_building");
  });

  it("marks what was missed inside a square only, and not what has an outline", async () => {
    const square = { ...thing("s", "square"), rings: [[[0.6, 0.6], [0.9, 0.6], [0.9, 0.9]]] };
    const { server, answers, marks } = world([square as Thing]);
    const judge = createJudge(server, 1);
    await judge.more();
    judge.mark("destroyed");
    judge.move(0.05, 0.5);
    judge.mark("destroyed");
    judge.move(0.8, 0.7);
    judge.mark("destroyed");
    judge.move(0.2, 0.8);
    judge.mark("minor_damage");
    judge.unmark(0);
    judge.allMarked();
    await settle();
    expect(answers.get("s")).toBe("judged");
    expect(marks.get("s")).toEqual([{ x: 0.2, y: 0.8, grade: "minor_damage" }]);
  });
});
