/** What can be decided on the picked building, each by one button or its key. */
import { useEffect, useRef, useState } from "preact/hooks";
import "../styles/workbench.css";

import type { Building } from "../api/types";
import { GRADES, GRADE_KEYS, GRADE_NAMES } from "../geo/grades";
import type { Session } from "../review/session";
import { useStore } from "../review/store";
import { asksIn } from "../review/table";
import { REASONS, REASON_NAMES, isFlagged, type Because, type Workbench } from "../review/workbench";
import { ActionButton, GradeMark, Key } from "./parts";

const OUTLINE = { edit: "Edit", square: "Square", split: "Split", merge: "Merge" } as const;

interface DecisionsProps {
  building: Building;
  session: Session;
}

export function Decisions({ building, session }: DecisionsProps) {
  const { asking } = useStore(session.desk.store);
  const { advance, table } = useStore(session.store);
  return (
    <div class="actions">
      <div class="pair">
        <ActionButton session={session} name="accept" class="accept">
          {advance ? "Accept, next" : "Accept"}
        </ActionButton>
        <ActionButton session={session} name="reject" class="reject" />
      </div>
      <fieldset class="grades">
        <legend>Change the grade</legend>
        {GRADES.map((grade, at) => (
          <ActionButton
            key={grade}
            session={session}
            name={`grade${at as 0 | 1 | 2 | 3}`}
            field={grade}
            obvious={GRADE_KEYS[grade]}
            pressed={building.grade === grade}
          >
            <GradeMark grade={grade} />
            {GRADE_NAMES[grade]}
          </ActionButton>
        ))}
      </fieldset>
      <div class="pair">
        <ActionButton session={session} name="unsure" expanded={asking === "unsure"}>
          Cannot tell…
        </ActionButton>
        <ActionButton session={session} name="flag" pressed={isFlagged(building)}>
          Flag
        </ActionButton>
        <ActionButton session={session} name="flagNote" expanded={asking === "flag"}>
          Flag, with note…
        </ActionButton>
      </div>
      {!asksIn(table, building.uid) && <Question session={session} />}
      <div class="pair" role="group" aria-label="The outline">
        <span class="quiet" aria-hidden="true">
          Outline
        </span>
        {Object.entries(OUTLINE).map(([name, label]) => (
          <ActionButton key={name} session={session} name={name as keyof typeof OUTLINE}>
            {label}
          </ActionButton>
        ))}
      </div>
    </div>
  );
}

/** The little question that is open about the picked building; nothing while none is. */
export function Question({ session }: { session: Session }) {
  const { asking } = useStore(session.desk.store);
  if (asking === "unsure") return <Reasons session={session} />;
  if (asking !== "flag") return null;
  const flag = (note: string): void => session.flag(note);
  return <Note label="What should the second look at it answer?" session={session} onNote={flag} />;
}

/** Opened by the action "unsure"; the digits choose, too (keys.ts). */
function Reasons({ session }: { session: Workbench }) {
  const { keysOn } = useStore(session.store);
  const first = useRef<HTMLButtonElement>(null);
  const [other, setOther] = useState(false);
  useEffect(() => {
    first.current?.focus();
    first.current?.closest("fieldset")?.scrollIntoView({ block: "nearest" }); // all of them, not the first
  }, []);
  const choose = (because: Because, note?: string): void => {
    session.desk.ask(null);
    session.unsure(because, note);
  };
  return (
    <fieldset class="reasons">
      <legend>Why can it not be told?</legend>
      {REASONS.map((because, at) => (
        <button
          type="button"
          key={because}
          ref={at === 0 ? first : null}
          name={because}
          onClick={() => (because === "other" ? setOther(true) : choose(because))}
        >
          {keysOn && <Key>{at + 1}</Key>} {REASON_NAMES[because]}
          {because === "other" && "…"}
        </button>
      ))}
      {other ? (
        <Note label="What is it?" session={session} onNote={(note) => choose("other", note)} />
      ) : (
        <button type="button" onClick={() => session.desk.ask(null)}>
          Leave it <Key>Esc</Key>
        </button>
      )}
    </fieldset>
  );
}

interface NoteProps {
  label: string;
  session: Session;
  onNote: (note: string) => void;
}

function Note({ label, session, onNote }: NoteProps) {
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);
  const leave = (): void => session.desk.ask(null);
  return (
    <form
      class="note"
      onSubmit={(submitted) => {
        submitted.preventDefault();
        leave();
        onNote(field.current?.value.trim() ?? "");
      }}
    >
      <label>
        {label} (optional)
        <input
          ref={field}
          name="note"
          maxLength={500}
          onKeyDown={(event) => event.key === "Escape" && leave()}
        />
      </label>
      <div class="pair">
        <button type="submit" class="primary">
          Save <Key>Enter</Key>
        </button>
        <button type="button" onClick={leave}>
          Leave it <Key>Esc</Key>
        </button>
      </div>
    </form>
  );
}
