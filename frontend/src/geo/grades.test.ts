import { readFileSync } from "node:fs";
import {
  converter,
  differenceCiede2000,
  filterDeficiencyDeuter,
  filterDeficiencyProt,
  filterDeficiencyTrit,
  parse,
  wcagContrast,
  type Color,
} from "culori";
import { expect, it } from "vitest";

import {
  ALL_GRADES,
  DARK,
  GRADES,
  GRADE_COLOURS,
  GRADE_INK,
  LIGHT,
  hatchLines,
  type Grade,
} from "./grades";

const SIGHTS: Record<string, (colour: Color) => Color> = {
  normal: (colour) => colour,
  protanopia: filterDeficiencyProt(1) as (colour: Color) => Color,
  deuteranopia: filterDeficiencyDeuter(1) as (colour: Color) => Color,
  tritanopia: filterDeficiencyTrit(1) as (colour: Color) => Color,
};
const apart = differenceCiede2000();

function seen(grade: Grade, sight: string): Color {
  const colour = parse(GRADE_COLOURS[grade]);
  if (!colour) throw new Error(`${GRADE_COLOURS[grade]} is no colour`);
  return SIGHTS[sight]!(colour);
}

const lightness = (colour: Color): number => converter("lab65")(colour).l;

it.each(Object.keys(SIGHTS))("grades darken with damage, and neighbours are told apart: %s", (sight) => {
  for (const [place, grade] of GRADES.slice(1).entries()) {
    const [lesser, worse] = [seen(GRADES[place]!, sight), seen(grade, sight)];
    expect(apart(lesser, worse)).toBeGreaterThanOrEqual(15);
    expect(lightness(lesser) - lightness(worse)).toBeGreaterThan(15);
  }
});

it.each(Object.keys(SIGHTS))("what is unclassified looks like no grade: %s", (sight) => {
  for (const grade of GRADES) {
    expect(apart(seen("unclassified", sight), seen(grade, sight))).toBeGreaterThanOrEqual(15);
  }
});

it("the lightness is what grades.ts says", () => {
  const steps = GRADES.map((grade) => Math.round(lightness(seen(grade, "normal"))));

  expect(steps).toEqual([96, 69, 44, 15]);
});

it("a digit or a hatch is legible on its grade's colour", () => {
  for (const grade of ALL_GRADES) {
    expect(wcagContrast(GRADE_INK[grade], GRADE_COLOURS[grade])).toBeGreaterThanOrEqual(4.5);
  }
});

it("one of the two casings stands out 3 to 1 on ground of any brightness", () => {
  for (let grey = 0; grey <= 255; grey++) {
    const ground = { mode: "rgb" as const, r: grey / 255, g: grey / 255, b: grey / 255 };
    const best = Math.max(wcagContrast(DARK, ground), wcagContrast(LIGHT, ground));
    expect(best).toBeGreaterThanOrEqual(3);
  }
});

it("the more damage, the more ink there is in the hatch, and no two are alike", () => {
  const ink = (grade: Grade): number => hatchLines(grade, 16).length;

  expect(GRADES.map(ink)).toEqual([...GRADES.map(ink)].sort((a, b) => a - b));
  expect(new Set(ALL_GRADES.map((grade) => JSON.stringify(hatchLines(grade, 16)))).size).toBe(5);
});

it("the legend and the map use the same colours", () => {
  const css = readFileSync(new URL("../styles/base.css", import.meta.url), "utf8");

  for (const grade of ALL_GRADES) {
    expect(css).toContain(`--${grade.replace("_", "-")}: ${GRADE_COLOURS[grade]};`);
  }
});
