/** While something is drawn: what to do now, in a sentence, with a button for each step. */
import { useRef } from "preact/hooks";
import "../styles/drawing.css";

import type { AreaBecause } from "../api/types";
import { area } from "../geo/format";
import { GRADES, GRADE_NAMES } from "../geo/grades";
import { areaM2 } from "../geo/outline";
import { cornersOf } from "../geo/plane";
import { AREA_REASONS } from "../review/areas";
import { BIG_STEP_PX, STEP_PX, gradesOf, whatIsMissing } from "../review/drawing";
import { shown } from "../review/keymap";
import type { Session } from "../review/session";
import type { Drawing } from "../review/state";
import { GradeMark, Key, KeyOf, useKey } from "./parts";

const TITLES: Record<Drawing["is"], string> = {
  redraw: "Edit the outline",
  add: "Add a building",
  split: "Split the building",
  merge: "Merge buildings",
  shift: "Move all outlines of an area",
  area: "Mark an area as fully reviewed",
  not_assessable: "Mark an area as not assessable",
  team: "Draw a review area",
};

const SAVES: Record<Drawing["is"], string> = {
  redraw: "Save", add: "Save", split: "Split", merge: "Merge", shift: "Move them",
  area: "Mark as fully reviewed", not_assessable: "Mark as not assessable",
  team: "Add the area",
};

/** `key` puts a corner at the cross; undefined where no key does. */
const sketchBy = (key: string | undefined): string =>
  "Click the corners, and the first one again to close. By key: the arrows move the map under the cross, " +
  `${key === undefined ? "the button below" : shown(key)} puts a corner there, Enter closes.`;

/** What to do now. */
function guide({ is, outline, parts, pieces, moving, shift_m }: Drawing, sketch: string): string {
  if (is === "split") {
    return pieces.length
      ? `It becomes ${pieces.length} buildings. Each keeps the grade; change them afterwards.`
      : "Draw a line right across the building: click where it begins, then where it ends, and there once more.";
  }
  if (is === "merge") {
    return parts.length < 2
      ? "Choose what belongs to it: click a building on the map, or in the list below."
      : "This is the outline of all. Correct it if you like, then merge.";
  }
  if (is === "shift") {
    if (!outline) return `Draw round the buildings whose outlines lie beside their roofs. ${sketch}`;
    return `${moving.length} outlines move by ${metres(shift_m)}. Drag anywhere on the map, or use the arrows.`;
  }
  if (is === "redraw" || (is === "add" && outline)) {
    return "Drag a corner, or a point between two corners to make a new one. The arrows move the whole outline.";
  }
  if (is === "add") return `Draw round the building. ${sketch}`;
  if (outline) return "Drag corners to correct it, then save.";
  if (is === "area") {
    return `Draw round ground where you have looked at everything: for training, the rest of it counts as background. ${sketch}`;
  }
  if (is === "team") {
    return `Draw round the part of the image that one person shall review. It may touch other areas, not overlap them. ${sketch}`;
  }
  return `Draw round ground that nobody can judge in this image. Grades inside stay as they are. ${sketch}`;
}

const metres = ([east, north]: Drawing["shift_m"]): string => {
  const part = (value: number, to: string, fro: string): string =>
    `${Math.abs(value).toFixed(1)} m ${value < 0 ? fro : to}`;
  return `${part(east, "east", "west")}, ${part(north, "north", "south")}`;
};

interface CardProps {
  drawing: Drawing;
  saving: boolean;
  session: Session;
}

export function DrawingCard({ drawing, saving, session }: CardProps) {
  const heading = useRef<HTMLHeadingElement>(null);
  const { is, outline, trouble, corner } = drawing;
  const missing = whatIsMissing(drawing);
  const sketch = sketchBy(useKey(session, "cornerAtCross"));
  const hasCorners = outline !== null && is !== "shift";
  const begun = outline !== null || drawing.pieces.length > 0 || is === "merge";
  return (
    <section
      class="drawing"
      aria-label={TITLES[is]}
      data-drawing={is}
      data-corner={corner ?? ""}
      onClick={(event) => {
        // After the pointer, Enter saves; it must not press once more what was clicked.
        if (event.detail > 0 && event.target instanceof Element && event.target.closest("button")) {
          heading.current?.focus({ preventScroll: true });
        }
      }}
    >
      <h2 ref={heading} tabIndex={-1}>
        {TITLES[is]}
      </h2>
      <p>{guide(drawing, sketch)}</p>
      {!begun && (
        <div class="pair">
          <button type="button" onClick={() => session.cornerAtCross()}>
            Corner at the cross <KeyOf session={session} name="cornerAtCross" />
          </button>
          <button type="button" onClick={() => void session.saveDrawing()}>
            {is === "split" ? "End the line" : "Close the outline"} <Key>Enter</Key>
          </button>
        </div>
      )}
      {is === "merge" && <Parts drawing={drawing} session={session} />}
      {(is === "add" || (is === "merge" && gradesOf(drawing.parts).size > 1)) && (
        <GradeChoice chosen={drawing.grade} session={session} />
      )}
      {is === "not_assessable" && <Reasons chosen={drawing.because} session={session} />}
      {hasCorners && <Corners drawing={drawing} session={session} />}
      {(hasCorners || (is === "shift" && drawing.moving.length > 0)) && <Arrows session={session} />}
      {outline && <p class="quiet">{area(areaM2(outline))} enclosed</p>}
      {trouble && (
        <p class="trouble" role="alert">
          {trouble}
        </p>
      )}
      <div class="pair">
        <button
          type="button"
          class="primary"
          disabled={saving || missing !== ""}
          onClick={() => void session.saveDrawing()}
        >
          {saving ? "Saving…" : SAVES[is]} <Key>Enter</Key>
        </button>
        <button type="button" onClick={() => session.stopDrawing()}>
          Cancel <Key>Esc</Key>
        </button>
      </div>
    </section>
  );
}

/** One corner after another, for those who have no pointer; a tablet has no right click either. */
function Corners({ drawing, session }: { drawing: Drawing; session: Session }) {
  const { is, outline, corner } = drawing;
  const count = outline ? cornersOf(outline).length : 0;
  const building = is === "add" || is === "redraw" || is === "merge";
  return (
    <fieldset class="corners">
      <legend aria-live="polite">
        {corner === null ? `The arrows move all ${count} corners` : `The arrows move corner ${corner + 1} of ${count}`}
      </legend>
      <button type="button" onClick={() => session.chooseCorner(-1)}>
        Corner before <KeyOf session={session} name="previousCorner" />
      </button>
      <button type="button" onClick={() => session.chooseCorner(1)}>
        Corner after <KeyOf session={session} name="nextCorner" />
      </button>
      <button type="button" disabled={corner === null} onClick={() => session.insertCorner()}>
        New corner <KeyOf session={session} name="insertCorner" />
      </button>
      <button type="button" disabled={corner === null || count < 4} onClick={() => session.deleteCorner()}>
        Remove it <KeyOf session={session} name="deleteCorner" />
      </button>
      {building && (
        <button type="button" class="wide" onClick={() => session.square()}>
          Square the corners <KeyOf session={session} name="square" />
        </button>
      )}
    </fieldset>
  );
}

const WAYS = [
  ["west", "←", -1, 0],
  ["north", "↑", 0, 1],
  ["south", "↓", 0, -1],
  ["east", "→", 1, 0],
] as const;

function Arrows({ session }: { session: Session }) {
  return (
    <fieldset class="arrows">
      <legend>
        Move by {STEP_PX} px of the screen, with Shift by {BIG_STEP_PX}
      </legend>
      {WAYS.map(([name, sign, east, north]) => (
        <button
          type="button"
          key={name}
          name={`nudge-${name}`}
          aria-label={`Move ${name}`}
          onClick={({ shiftKey }) => {
            const step = shiftKey ? BIG_STEP_PX : STEP_PX;
            session.nudge(east * step, north * step);
          }}
        >
          {sign}
        </button>
      ))}
    </fieldset>
  );
}

function Parts({ drawing, session }: { drawing: Drawing; session: Session }) {
  const [, ...joined] = drawing.parts;
  const all = [...joined, ...drawing.nearby];
  if (!all.length) return <p class="quiet">No other building stands within 3 m of it.</p>;
  return (
    <fieldset class="parts">
      <legend>Belongs to it</legend>
      {all.map(({ uid, grade, outline }) => (
        <label class="check" key={uid}>
          <input
            type="checkbox"
            name={`part-${uid}`}
            checked={joined.some((one) => one.uid === uid)}
            onChange={() => session.join(uid)}
          />
          <GradeMark grade={grade} />
          {GRADE_NAMES[grade]}, {area(areaM2(outline))}
        </label>
      ))}
    </fieldset>
  );
}

function Reasons({ chosen, session }: { chosen: AreaBecause | null; session: Session }) {
  return (
    <fieldset class="grades">
      <legend>Because of</legend>
      {(Object.keys(AREA_REASONS) as AreaBecause[]).map((reason) => (
        <button
          type="button"
          key={reason}
          name={`because-${reason}`}
          aria-pressed={chosen === reason}
          onClick={() => session.chooseReason(reason)}
        >
          {AREA_REASONS[reason]}
        </button>
      ))}
    </fieldset>
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
