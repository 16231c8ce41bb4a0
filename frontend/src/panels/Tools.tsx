/** Above the map: what can be done besides deciding on the picked building. */
import { actionNamed, there, type ActionName } from "../review/actions";
import type { Session } from "../review/session";
import { useStore } from "../review/store";
import { Help } from "./Help";
import { ActionButton } from "./parts";

const ALWAYS: readonly ActionName[] = ["previous", "next", "add", "markArea", "undo", "redo"];
/** Where the place says the rest. */
const SHORT: Partial<Record<ActionName, string>> = { previous: "Previous", next: "Next" };
const SELDOM: readonly ActionName[] = ["notAssessable", "shift", "table", "goTo"];

export function Tools({ session }: { session: Session }) {
  const { drawing, progress } = useStore(session.store);
  const ready = progress?.state === "done" && !drawing;
  const seldom = SELDOM.filter((name) => there(actionNamed(name), session));
  return (
    <div class="toolbar" role="group" aria-label="Review tools">
      {ready &&
        ALWAYS.map((name) => (
          <ActionButton key={name} session={session} name={name}>
            {SHORT[name]}
          </ActionButton>
        ))}
      {ready && seldom.length > 0 && (
        <details class="more" onFocusOut={closeBehind}>
          <summary>More</summary>
          <div class="card">
            {seldom.map((name) => (
              <ActionButton key={name} session={session} name={name} />
            ))}
          </div>
        </details>
      )}
      <ActionButton session={session} name="help">
        Help
      </ActionButton>
      <Help session={session} />
    </div>
  );
}

/** It lies over the map's own buttons: the focus would go on below it, unseen. */
function closeBehind({ currentTarget, relatedTarget }: FocusEvent): void {
  if (!(currentTarget instanceof HTMLDetailsElement) || !(relatedTarget instanceof Node)) return;
  if (!currentTarget.contains(relatedTarget)) currentTarget.open = false;
}
