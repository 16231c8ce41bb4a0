/** While something is drawn: how, and what becomes of it. */
import { areaM2 } from "../geo/outline";
import { area } from "../geo/format";
import { GRADES, GRADE_NAMES } from "../geo/grades";
import type { Session } from "../review/session";
import type { Drawing } from "../review/state";
import { GradeMark, Key } from "./parts";

const TITLES: Record<Drawing["is"], string> = {
  redraw: "Redraw the outline",
  add: "Add a building",
  area: "Mark an area as fully reviewed",
  team: "Draw a review area",
};

const GUIDES: Record<Drawing["is"], string> = {
  redraw: "Drag a corner, or a point between two corners to make a new one. Right-click removes a corner.",
  add: "Click the corners of the building; click the first one again to close the outline.",
  area:
    "Draw round ground where you have looked at everything. For training, what is not a building in there then counts as background.",
  team: "Draw round the part of the image that one person shall review. It may touch other areas, not overlap them.",
};

interface CardProps {
  drawing: Drawing;
  saving: boolean;
  session: Session;
}

export function DrawingCard({ drawing, saving, session }: CardProps) {
  const ready = drawing.outline !== null && (drawing.is !== "add" || drawing.grade !== null);
  const save = drawing.is === "area" ? "Mark as fully reviewed" : "Save";
  return (
    <section class="drawing" aria-label={TITLES[drawing.is]} data-drawing={drawing.is}>
      <h2>{TITLES[drawing.is]}</h2>
      <p>{GUIDES[drawing.is]}</p>
      {drawing.is === "add" && <GradeChoice chosen={drawing.grade} session={session} />}
      {drawing.outline && <p class="quiet">{area(areaM2(drawing.outline))} enclosed</p>}
      <div class="pair">
        <button
          type="button"
          class="primary"
          disabled={!ready || saving}
          onClick={() => void session.saveDrawing()}
        >
          {saving ? "Saving…" : save}
        </button>
        <button type="button" onClick={() => session.stopDrawing()}>
          Cancel <Key>Esc</Key>
        </button>
      </div>
    </section>
  );
}

function GradeChoice({ chosen, session }: { chosen: string | null; session: Session }) {
  return (
    <fieldset class="grades">
      <legend>Its grade</legend>
      {GRADES.map((grade) => (
        <button
          type="button"
          key={grade}
          name={`new-${grade}`}
          aria-pressed={chosen === grade}
          onClick={() => session.chooseGrade(grade)}
        >
          <GradeMark grade={grade} />
          {GRADE_NAMES[grade]}
        </button>
      ))}
    </fieldset>
  );
}
