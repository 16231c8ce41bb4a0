/** Every action and the key that does it, to read and to change. */
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import "../styles/workbench.css";

import { ACTIONS, GROUPS, there, type Action } from "../review/actions";
import { clash, namesOf, shown, unfit, withKeys } from "../review/keymap";
import type { Session } from "../review/session";
import { useStore } from "../review/store";
import { Key } from "./parts";

export function Help({ session }: { session: Session }) {
  const { helpOpen } = useStore(session.desk.store);
  return helpOpen ? <HelpDialog session={session} /> : null;
}

function HelpDialog({ session }: { session: Session }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [changing, setChanging] = useState<Action | null>(null);
  useEffect(() => dialog.current?.showModal(), []); // which keeps the focus in, and gives it back
  const close = (): void => dialog.current?.close();
  return (
    <dialog
      ref={dialog}
      class="help"
      aria-labelledby="help-title"
      onCancel={(event) => changing && event.preventDefault()}
      onClose={() => session.desk.openHelp(false)}
    >
      <div class="head">
        <h2 id="help-title">Keys</h2>
        <button type="button" onClick={close}>
          Close <Key>Esc</Key>
        </button>
      </div>
      <Switch session={session} />
      {GROUPS.map((group) => (
        <Group key={group} group={group} changing={changing} onChanging={setChanging} session={session} />
      ))}
      <p class="quiet">
        Arrow keys move the map. While a reason is asked for, the digits choose it. Nothing here acts
        while you type or while a window like this is open.
      </p>
      <button type="button" onClick={() => session.desk.reset()}>
        Set all keys back
      </button>
    </dialog>
  );
}

/** Also for those who speak to their computer: a word must not become a row of decisions. */
function Switch({ session }: { session: Session }) {
  const { keysOn } = useStore(session.store);
  return (
    <label class="check">
      <input
        type="checkbox"
        name="single-keys"
        checked={keysOn}
        onChange={(event) => session.setKeys(event.currentTarget.checked)}
      />
      Single keys act
    </label>
  );
}

interface GroupProps {
  group: (typeof GROUPS)[number];
  changing: Action | null;
  onChanging: (action: Action | null) => void;
  session: Session;
}

function Group({ group, changing, onChanging, session }: GroupProps) {
  const { keymap } = useStore(session.desk.store);
  const actions = ACTIONS.filter((one) => one.group === group && there(one, session));
  if (actions.length === 0) return null;
  return (
    <section aria-label={group}>
      <h3>{group}</h3>
      <ul class="key-list">
        {actions.map((action) => (
          <li key={action.name} data-key-of={action.name}>
            <span>{action.label}</span>
            <span class="their-keys">
              {(keymap.get(action.name) ?? []).map((key) => (
                <kbd key={key}>{shown(key)}</kbd>
              ))}
              {keymap.get(action.name)?.length === 0 && <span class="quiet">no key</span>}
            </span>
            {action.fixed ? (
              <span class="quiet">always</span>
            ) : changing === action ? (
              <Change action={action} session={session} onDone={() => onChanging(null)} />
            ) : (
              <button
                type="button"
                class="small"
                aria-label={`Change the key for: ${action.label}`}
                onClick={() => onChanging(action)}
              >
                Change
              </button>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}

interface ChangeProps {
  action: Action;
  session: Session;
  onDone: () => void;
}

/** Waits for a key; says what is in its way. */
function Change({ action, session, onDone }: ChangeProps) {
  const { desk } = session;
  const box = useRef<HTMLDivElement>(null);
  const [problem, setProblem] = useState("");
  const [wanted, setWanted] = useState<string | null>(null);
  const { name } = action;
  const row = useRef<HTMLElement | null>(null);

  // At once, for the next key is meant for it. Leaving gives the focus back to the button that led
  // here, which is drawn anew.
  useLayoutEffect(() => {
    row.current = box.current?.closest("li") ?? null;
    box.current?.focus();
    return () => requestAnimationFrame(() => row.current?.querySelector("button")?.focus());
  }, []);

  const take = (key: string): void => {
    desk.setKeymap(withKeys(desk.store.now.keymap, name, [key]));
    onDone();
  };

  const hear = (event: KeyboardEvent): void => {
    if (event.target !== box.current || ["Tab", "Shift"].includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.key === "Escape") return onDone();
    const why = unfit(event);
    const [key] = namesOf(event);
    if (why || key === undefined) return setProblem(why);
    const other = clash(desk.store.now.keymap, name, key);
    if (!other) return take(key);
    setWanted(key);
    setProblem(`${shown(key)} already does: ${other.label}.`);
  };

  return (
    <div class="changing">
      <div ref={box} tabIndex={0} role="group" aria-label={`New key for: ${action.label}`} onKeyDown={hear}>
        Press a key…
      </div>
      <p role="alert" class={problem ? "notice warn" : ""}>
        {problem}
      </p>
      <div class="pair">
        {wanted !== null && (
          <button type="button" class="small" onClick={() => take(wanted)}>
            Use it here instead
          </button>
        )}
        <button
          type="button"
          class="small"
          onClick={() => {
            desk.setKeymap(withKeys(desk.store.now.keymap, name, []));
            onDone();
          }}
        >
          No key
        </button>
        <button
          type="button"
          class="small"
          onClick={() => {
            desk.reset(name);
            onDone();
          }}
        >
          As it came
        </button>
        <button type="button" class="small" onClick={onDone}>
          Leave it
        </button>
      </div>
    </div>
  );
}
