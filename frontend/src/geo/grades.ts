/** The Joint Damage Scale as people see it: names, keys and colours. */

export const GRADES = ["no_damage", "minor_damage", "major_damage", "destroyed"] as const;
export type ModelGrade = (typeof GRADES)[number];
export type Grade = ModelGrade | "unclassified";

export const ALL_GRADES: readonly Grade[] = [...GRADES, "unclassified"];

export const GRADE_NAMES: Record<Grade, string> = {
  no_damage: "No damage",
  minor_damage: "Minor damage",
  major_damage: "Major damage",
  destroyed: "Destroyed",
  unclassified: "Unclassified",
};

/**
 * Lightness falls as damage rises (CIE L* 96, 69, 44, 15), and neighbours lie at least 15 apart
 * (CIEDE2000) to every common form of colour blindness; grades.test.ts measures it. Digits and
 * hatches say it again. `base.css` has the same values for pages without a script.
 */
export const GRADE_COLOURS: Record<Grade, string> = {
  no_damage: "#fff6b3",
  minor_damage: "#f0902f",
  major_damage: "#c02f55",
  destroyed: "#3d0a5c",
  unclassified: "#9aa4b1",
};

export const DARK = "#10151c";
export const LIGHT = "#ffffff";

/** What is legible on a grade's colour. */
export const GRADE_INK: Record<Grade, string> = {
  no_damage: DARK,
  minor_damage: DARK,
  major_damage: LIGHT,
  destroyed: LIGHT,
  unclassified: DARK,
};

/** The digit in a grade's badge, and the key that chooses it unless a person has set another. */
export const GRADE_KEYS: Record<Grade, string> = {
  no_damage: "0",
  minor_damage: "1",
  major_damage: "2",
  destroyed: "3",
  unclassified: "?",
};

/** The more damage, the more ink: strokes lean right, left or lie flat, `gaps` to a tile's side. */
const HATCHES: Record<Grade, { readonly strokes: string; readonly gaps: number }> = {
  no_damage: { strokes: "", gaps: 1 },
  minor_damage: { strokes: "/", gaps: 1 },
  major_damage: { strokes: "/\\", gaps: 1 },
  destroyed: { strokes: "/\\", gaps: 2 },
  unclassified: { strokes: "-", gaps: 2 },
};

export type Line = readonly [x1: number, y1: number, x2: number, y2: number];

/** The hatch of a grade within a square tile of this side; tiles fit together without a seam. */
export function hatchLines(grade: Grade, side: number): Line[] {
  const { strokes, gaps } = HATCHES[grade];
  const step = side / gaps;
  const lines: Line[] = [];
  for (let at = 0; at <= 2 * side; at += step) {
    if (strokes.includes("/")) lines.push([at, 0, at - side, side]);
    if (strokes.includes("\\")) lines.push([side - at, 0, 2 * side - at, side]);
    if (strokes.includes("-") && at < side) lines.push([0, at + step / 2, side, at + step / 2]);
  }
  return lines;
}
