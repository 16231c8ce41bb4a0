/** What a person can say of a building without changing it. */
import type { Answer } from "../api/teams";
import { GRADE_NAMES } from "../geo/grades";

export const ANSWER_NAMES: Record<Answer, string> = {
  no_damage: GRADE_NAMES.no_damage,
  minor_damage: GRADE_NAMES.minor_damage,
  major_damage: GRADE_NAMES.major_damage,
  destroyed: GRADE_NAMES.destroyed,
  no_building: "No building",
  unsure: "Unsure",
};
