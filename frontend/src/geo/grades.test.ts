import { readFileSync } from "node:fs";
import { expect, it } from "vitest";

import { ALL_GRADES, GRADES, GRADE_COLOURS, gradeOfKey } from "./grades";

/** CIE L* of an sRGB colour, 0 (black) to 100 (white). */
function lightness(hex: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => {
    const share = parseInt(hex.slice(at, at + 2), 16) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 116 * Math.cbrt(0.2126 * r + 0.7152 * g + 0.0722 * b) - 16;
}

it("grades get darker with damage, by enough to be told apart without any colour", () => {
  const steps = GRADES.map((grade) => lightness(GRADE_COLOURS[grade]));

  expect(steps.map(Math.round)).toEqual([95, 73, 47, 19]);
  for (const [i, step] of steps.slice(1).entries()) {
    expect((steps[i] ?? 0) - step).toBeGreaterThan(15);
  }
});

it("the legend and the map use the same colours", () => {
  const css = readFileSync(new URL("../styles/base.css", import.meta.url), "utf8");

  for (const grade of ALL_GRADES) {
    expect(css).toContain(`--${grade.replace("_", "-")}: ${GRADE_COLOURS[grade]};`);
  }
});

it("keys 0 to 3 are the grades, and nothing else is", () => {
  expect(["0", "1", "2", "3"].map(gradeOfKey)).toEqual([...GRADES]);
  expect([gradeOfKey("4"), gradeOfKey("?")]).toEqual([undefined, undefined]);
});
