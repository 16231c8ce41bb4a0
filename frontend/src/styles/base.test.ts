import { readFileSync } from "node:fs";
import { wcagContrast } from "culori";
import { expect, it } from "vitest";

const LEAST = 3; // WCAG 1.4.11: what shows where a control is

const css = readFileSync(new URL("base.css", import.meta.url), "utf8");

/** The values of a theme: those of the dark one, and what the light one has instead. */
function valueOf(name: string, theme: "dark" | "light"): string {
  const values = [...css.matchAll(new RegExp(`--${name}:\\s*(#[0-9a-f]{6});`, "g"))].map(([, value]) => value);
  expect(values).toHaveLength(2);
  return values[theme === "dark" ? 0 : 1]!;
}

it.each(["dark", "light"] as const)("fields are seen on every ground of the %s theme", (theme) => {
  for (const ground of ["ground", "surface", "raised"]) {
    const contrast = wcagContrast(valueOf("field-edge", theme), valueOf(ground, theme));
    expect(contrast, `${theme}, on ${ground}`).toBeGreaterThanOrEqual(LEAST);
  }
});
