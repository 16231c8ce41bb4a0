/** What is said aloud: saved, waiting, refused, changed by someone else. */
import { useEffect, useRef } from "preact/hooks";

import type { Building, Draft } from "../api/types";
import { GRADE_NAMES } from "../geo/grades";
import { count } from "../geo/format";
import { KIND_NAMES, REVIEW_NAMES } from "../review/decisions";
import type { Session } from "../review/session";
import type { Conflict } from "../review/state";
import { useStore } from "../review/store";

export function Notices({ session }: { session: Session }) {
  const { message, waiting, connected, conflict } = useStore(session.store);
  const trouble = waiting.find(({ trouble }) => trouble !== "")?.trouble;
  return (
    <>
      <div class="notices" role="status" aria-live="polite">
        {message && <p class={message.bad ? "notice bad" : "notice"}>{message.text}</p>}
        {waiting.length > 0 && (
          <p class={trouble ? "notice bad" : "notice"} data-waiting={waiting.length}>
            {count(waiting.length, "decision is", "decisions are")} being saved. {trouble}
          </p>
        )}
        {!connected && <p class="notice bad">The live connection is down; reconnecting.</p>}
      </div>
      {conflict && <ConflictDialog conflict={conflict} session={session} />}
    </>
  );
}

function ConflictDialog({ conflict, session }: { conflict: Conflict; session: Session }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), [conflict]);
  const { theirs, draft, message } = conflict;
  const last = [...theirs.history].sort((a, b) => b.number - a.number)[0];
  return (
    <dialog
      ref={dialog}
      class="conflict"
      aria-labelledby="conflict-title"
      onCancel={() => session.settle(false)}
    >
      <h2 id="conflict-title">Someone else was quicker</h2>
      <p>{message}</p>
      <dl class="facts">
        <dt>Now</dt>
        <dd>
          {described(theirs)}
          {last && ` (${KIND_NAMES[last.kind]} by ${last.user ?? "a former user"})`}
        </dd>
        <dt>You wanted</dt>
        <dd>{wanted(draft)}</dd>
      </dl>
      <div class="pair">
        <button type="button" onClick={() => session.settle(false)}>
          Leave it as it is now
        </button>
        <button type="button" class="primary" onClick={() => session.settle(true)}>
          Do mine on top
        </button>
      </div>
    </dialog>
  );
}

const described = ({ grade, review, version }: Building): string =>
  `${GRADE_NAMES[grade]}, ${REVIEW_NAMES[review].toLowerCase()}, version ${version}`;

const wanted = ({ kind, grade }: Draft): string =>
  grade && kind === "regrade" ? `regrade to ${GRADE_NAMES[grade].toLowerCase()}` : kind;
