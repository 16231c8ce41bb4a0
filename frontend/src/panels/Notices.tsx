/** What is said aloud: saved, refused, changed by someone else; and the choice after a conflict. */
import { KIND_NAMES } from "../review/decisions";
import type { Session } from "../review/session";
import type { ReviewState } from "../review/state";
import { useStore } from "../review/store";
import { Conflict } from "./Conflict";

export function Notices({ session }: { session: Session }) {
  const state = useStore(session.store);
  const { message, connected, conflict, unsettled } = state;
  return (
    <>
      <div class="notices" role="status" aria-live="polite">
        {message && <p class={message.bad ? "notice bad" : "notice"}>{message.text}</p>}
        {!connected && <p class="notice bad">The live connection is down; reconnecting.</p>}
      </div>
      <Refused state={state} session={session} />
      {conflict && <Conflict clash={conflict} left={unsettled} session={session} />}
    </>
  );
}

/** They stay until they were read: a refused decision is not in the result. */
function Refused({ state: { refusals }, session }: { state: ReviewState; session: Session }) {
  if (refusals.length === 0) return null;
  return (
    <div class="refusals" role="alert">
      <h2>Refused by the server, so not part of the result</h2>
      <ul>
        {refusals.map(({ entry, message }) => {
          const uid = entry.draft.building;
          return (
            <li key={entry.draft.id}>
              <b>{KIND_NAMES[entry.draft.kind]}</b>: {message}{" "}
              {uid !== null && (
                <button type="button" class="small" onClick={() => void session.pick(uid)}>
                  Show the building
                </button>
              )}
            </li>
          );
        })}
      </ul>
      <button type="button" onClick={() => session.dismissRefusals()}>
        I have read it
      </button>
    </div>
  );
}
