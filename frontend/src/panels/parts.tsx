/** Small pieces that several panels share. */
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";

import { GRADE_COLOURS, GRADE_INK, GRADE_KEYS, GRADE_NAMES, hatchLines, type Grade } from "../geo/grades";
import { actionNamed, there, type ActionName } from "../review/actions";
import type { KeySwitch } from "../review/desk";
import { shown, spoken } from "../review/keymap";
import type { Session } from "../review/session";
import { useStore } from "../review/store";

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

const SWATCH_PX = 16;

/** A grade's colour and hatch, as they are on the map. */
export function Swatch({ grade }: { grade: Grade }) {
  const box = { width: SWATCH_PX, height: SWATCH_PX };
  return (
    <svg class="swatch" viewBox={`0 0 ${SWATCH_PX} ${SWATCH_PX}`} aria-hidden="true">
      <rect {...box} fill={GRADE_COLOURS[grade]} />
      {hatchLines(grade, SWATCH_PX).map(([x1, y1, x2, y2]) => (
        <line key={`${x1},${x2},${y1}`} x1={x1} y1={y1} x2={x2} y2={y2} stroke={GRADE_INK[grade]} />
      ))}
    </svg>
  );
}

export function Key({ children }: { children: ComponentChildren }) {
  return <kbd aria-hidden="true">{children}</kbd>;
}

/** The key that does it, as this person has set it; nothing where no key does. */
export function KeyOf({ session, name }: { session: Session; name: ActionName }) {
  const key = useKey(session, name);
  return key === undefined ? null : <Key>{shown(key)}</Key>;
}

/** The key that does it; undefined where none does, or single keys are switched off. */
export function useKey(session: Session, name: ActionName): string | undefined {
  const { keymap } = useStore(session.desk.store);
  const { keysOn } = useStore(session.store);
  return keysOn || actionNamed(name).fixed ? keymap.get(name)?.[0] : undefined;
}

/** Whether single keys decide, and how to change that for good. */
export function useKeySwitch(keys: KeySwitch): [boolean, (on: boolean) => void] {
  const [on, setOn] = useState(keys.on);
  const choose = (is: boolean): void => {
    setOn(is);
    keys.keep(is);
  };
  return [on, choose];
}

export function SingleKeys({ on, choose }: { on: boolean; choose: (on: boolean) => void }) {
  return (
    <label class="check">
      <input type="checkbox" name="keys" checked={on} onChange={(event) => choose(event.currentTarget.checked)} />
      Single keys decide
    </label>
  );
}

interface ActionButtonProps {
  session: Session;
  name: ActionName;
  /** What it says, where that is not the action's own name. */
  children?: ComponentChildren;
  class?: string;
  pressed?: boolean;
  expanded?: boolean;
  /** The name of the button itself. */
  field?: string;
  /** A key that the label shows already. */
  obvious?: string;
}

/** A button for an action, with the key that does the same; nothing where there is no such action. */
export function ActionButton(props: ActionButtonProps) {
  const { session, name, children, pressed, expanded, field, obvious, ...more } = props;
  const key = useKey(session, name);
  const action = actionNamed(name);
  if (!there(action, session)) return null;
  return (
    <button
      type="button"
      data-action={name}
      {...more}
      {...(field === undefined ? {} : { name: field })}
      {...(pressed === undefined ? {} : { "aria-pressed": pressed })}
      {...(expanded === undefined ? {} : { "aria-expanded": expanded })}
      {...(key === undefined ? {} : { "aria-keyshortcuts": spoken(key) })}
      onClick={() => action.run(session, "")}
    >
      {children ?? action.label} {key !== obvious && <KeyOf session={session} name={name} />}
    </button>
  );
}
