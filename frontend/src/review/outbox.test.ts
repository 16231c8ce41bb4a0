import { expect, it } from "vitest";

import type { Building, Draft } from "../api/types";
import { createOutbox, type Answer, type Outbox, type Waiting } from "./outbox";

const draft = (id: string, building: string | null = "b1", onVersion = 0): Draft => ({
  id, kind: "accept", building, on_version: onVersion,
});
const building = { uid: "b1", version: 1 } as Building;
const saved: Answer = { is: "saved", building };
const down: Answer = { is: "unreachable", message: "down" };
const conflict: Answer = { is: "conflict", message: "changed", theirs: building };

interface Bench {
  outbox: Outbox;
  sent: string[];
  waits: number[];
  stored: () => readonly Waiting[];
  heard: { id: string; is: string; dropped: string[] }[];
}

/** An outbox whose server gives these answers in turn, then says "saved". */
function bench(answers: Answer[], left: readonly Waiting[] = []): Bench {
  const sent: string[] = [];
  const waits: number[] = [];
  const heard: Bench["heard"] = [];
  let stored = left;
  const outbox = createOutbox({
    send: (one) => {
      sent.push(one.id);
      return Promise.resolve(answers.shift() ?? saved);
    },
    keep: (waiting) => { stored = waiting; },
    kept: () => left,
    wait: (milliseconds) => {
      waits.push(milliseconds);
      return Promise.resolve();
    },
    onChange: () => undefined,
    onAnswer: (one, answer, dropped) =>
      heard.push({ id: one.id, is: answer.is, dropped: dropped.map(({ id }) => id) }),
  });
  return { outbox, sent, waits, stored: () => stored, heard };
}

const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

it("sends in order, one at a time", async () => {
  const { outbox, sent, stored } = bench([]);

  outbox.add(draft("1"));
  outbox.add(draft("2", "b1", 1));
  await settled();

  expect(sent).toEqual(["1", "2"]);
  expect(stored()).toEqual([]);
});

it("keeps what cannot be sent, and tries again with growing pauses and the same id", async () => {
  const { outbox, sent, waits, heard } = bench([down, down, down]);

  outbox.add(draft("1"));
  await settled();

  expect(sent).toEqual(["1", "1", "1", "1"]);
  expect(waits).toEqual([1000, 2000, 4000]);
  expect(heard).toEqual([{ id: "1", is: "saved", dropped: [] }]);
});

it("a decision survives the closed page and is sent on the next visit", async () => {
  const { outbox, sent, stored } = bench([], [{ draft: draft("old"), trouble: "down" }]);

  outbox.resume();
  await settled();

  expect(sent).toEqual(["old"]);
  expect(stored()).toEqual([]);
});

it("a conflict takes later decisions on the same building with it, and says so", async () => {
  const { outbox, sent, heard } = bench([conflict]);

  outbox.add(draft("1"));
  outbox.add(draft("2", "b1", 1));
  outbox.add(draft("3", "b2"));
  await settled();

  expect(sent).toEqual(["1", "3"]);
  expect(heard).toEqual([
    { id: "1", is: "conflict", dropped: ["2"] },
    { id: "3", is: "saved", dropped: [] },
  ]);
});

it("is on disk before it is sent", async () => {
  const { outbox, stored } = bench([down]);

  outbox.add(draft("1"));

  expect(stored().map((waiting) => waiting.draft.id)).toEqual(["1"]);
  await settled();
});
