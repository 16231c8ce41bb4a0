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
 * Lightness falls as damage rises (CIE L* 95, 73, 47, 19), so that the order survives every
 * common form of colour blindness and a print in grey. Badges with the key's digit say it again.
 */
export const GRADE_COLOURS: Record<Grade, string> = {
  no_damage: "#fcf3a6",
  minor_damage: "#f8a13f",
  major_damage: "#c93b56",
  destroyed: "#4a0c6b",
  unclassified: "#9aa4b1",
};

/** The key that chooses a grade, also the digit in its badge. */
export const GRADE_KEYS: Record<Grade, string> = {
  no_damage: "0",
  minor_damage: "1",
  major_damage: "2",
  destroyed: "3",
  unclassified: "?",
};

/** The grade that a key on the keyboard stands for, if any. */
export function gradeOfKey(key: string): ModelGrade | undefined {
  return GRADES.find((grade) => GRADE_KEYS[grade] === key);
}
