import { expect, it } from "vitest";

import { PLAIN, createLooks, falseColour, isPlain, kept, query, type Shelf } from "./looks";

const shelfOf = (things: Record<string, string> = {}): Shelf & { things: Record<string, string> } => ({
  things,
  getItem: (key) => things[key] ?? null,
  setItem: (key, value) => void (things[key] = value),
});

it("asks for nothing special of a scene that is seen as it always is", () => {
  expect(query(PLAIN)).toBe("");
  expect(query({ ...PLAIN, opacity: 40 })).toBe(""); // the map does that
  expect(isPlain({ ...PLAIN, opacity: 40 })).toBe(false);
});

it("gives one look one address", () => {
  const look = { bands: [4, 3, 2], brightness: -10, contrast: 30, opacity: 100 };
  expect(query(look)).toBe("?bands=4,3,2&brightness=-10&contrast=30");
});

it("shows plants red only where near infrared is known", () => {
  const facts = { bounds: [0, 0, 1, 1], bands: ["blue", "green", "red", "nir"], shown: [3, 2, 1] } as const;
  expect(falseColour({ ...facts, near_infrared: 4 })).toEqual([4, 3, 2]);
  expect(falseColour({ ...facts, near_infrared: null })).toBeNull();
});

it("remembers a look per person and scene, until it is reset", () => {
  const shelf = shelfOf();
  createLooks(shelf, "ana", "s1").change({ contrast: 20, bands: [4] });

  expect(createLooks(shelf, "ana", "s1").store.now).toEqual({ ...PLAIN, contrast: 20, bands: [4] });
  expect(createLooks(shelf, "ben", "s1").store.now).toEqual(PLAIN);
  expect(createLooks(shelf, "ana", "s2").store.now).toEqual(PLAIN);

  createLooks(shelf, "ana", "s1").reset();
  expect(createLooks(shelf, "ana", "s1").store.now).toEqual(PLAIN);
});

it("takes from what was kept only what can be a look", () => {
  expect(kept({ bands: [0], brightness: 900, contrast: "20", opacity: -1 })).toEqual(PLAIN);
  expect(kept({ bands: [1, 2] })).toEqual(PLAIN);
  expect(createLooks(shelfOf({ "look:ana:s1": "{" }), "ana", "s1").store.now).toEqual(PLAIN);
});

it("goes on without a shelf, or with a full one", () => {
  const full: Shelf = { getItem: () => null, setItem: () => { throw new Error("full"); } };
  for (const shelf of [null, full]) {
    const looks = createLooks(shelf, "ana", "s1");
    looks.change({ brightness: 5 });
    expect(looks.store.now.brightness).toBe(5);
  }
});
