import { expect, it } from "vitest";

import { nextToReview, type Candidate } from "./queue";

const at = (uid: string, x: number, fields: Partial<Candidate> = {}): Candidate => ({
  uid, centre: [x, 0], review: "unreviewed", score: 0.8, ...fields,
});

it("the nearest building that nobody has looked at comes next", () => {
  const candidates = [at("far", 5), at("near", 1), at("nearer", 0.5, { review: "accepted" })];

  expect(nextToReview(candidates, [0, 0], 0.5, new Set())?.uid).toBe("near");
});

it("never the one just decided, and none below the score", () => {
  const candidates = [at("this", 0), at("faint", 1, { score: 0.1 })];

  expect(nextToReview(candidates, [0, 0], 0.5, new Set(["this"]))).toBeUndefined();
});
