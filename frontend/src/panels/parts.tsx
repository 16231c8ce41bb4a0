/** Small pieces that several panels share. */
import type { ComponentChildren } from "preact";

import { GRADE_KEYS, GRADE_NAMES, type Grade } from "../geo/grades";

export function GradeMark({ grade }: { grade: Grade }) {
  return (
    <span class={`grade-mark grade-${grade}`} aria-hidden="true">
      {GRADE_KEYS[grade]}
    </span>
  );
}

export function GradeName({ grade }: { grade: Grade }) {
  return (
    <span class="grade-name">
      <GradeMark grade={grade} />
      {GRADE_NAMES[grade]}
    </span>
  );
}

export function Key({ children }: { children: ComponentChildren }) {
  return <kbd aria-hidden="true">{children}</kbd>;
}
