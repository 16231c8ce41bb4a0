/** Always in the page: what is not saved yet, and who else is here. */
import "../styles/saving.css";

import type { Peer } from "../api/together";
import { count } from "../geo/format";
import type { Session } from "../review/session";
import type { ReviewState } from "../review/state";
import { useStore } from "../review/store";

export function Saving({ session }: { session: Session }) {
  const state = useStore(session.store);
  if (!session.page.can_review && state.peers.length === 0) return null;
  return (
    <>
      {session.page.can_review && <Unsaved state={state} session={session} />}
      <Others state={state} session={session} />
    </>
  );
}

type Unsent = Pick<
  ReviewState,
  "unsettled" | "cannotKeep" | "trouble" | "waitingElsewhere"
> & { waiting: readonly unknown[]; refusals: readonly unknown[] };

interface UnsavedProps {
  state: Unsent;
  session: Pick<Session, "sendNow" | "tryKeeping"> & Partial<Pick<Session, "openConflicts">>;
  of?: "decision" | "answer";
}

export function Unsaved({ state, session, of = "decision" }: UnsavedProps) {
  const { waiting, unsettled, refusals, cannotKeep } = state;
  const bad = Boolean(cannotKeep) || (waiting.length > 0 && state.trouble !== null);
  const open = unsettled + refusals.length > 0; // it must not look like "All saved"
  return (
    <p
      class={bad ? "unsaved bad" : open ? "unsaved open" : "unsaved"}
      data-waiting={waiting.length || undefined}
      title={state.trouble?.message}
    >
      <span aria-hidden="true">{bad ? "⚠" : waiting.length || unsettled ? "…" : "✓"}</span> {words(state, of)}
      {state.trouble?.why === "signed_out" && waiting.length > 0 && (
        <a href={`/accounts/login/?next=${location.pathname}`} target="_blank" rel="noopener">
          Sign in
        </a>
      )}
      {waiting.length > 0 && state.trouble && (
        <button type="button" class="small" onClick={() => session.sendNow()}>
          Try now
        </button>
      )}
      {cannotKeep && (
        <button type="button" class="small" onClick={() => void session.tryKeeping()}>
          Try again
        </button>
      )}
      {unsettled > 0 && (
        <button type="button" class="small" onClick={() => session.openConflicts?.()}>
          {count(unsettled, "conflict", "conflicts")} to settle
        </button>
      )}
      {refusals.length > 0 && <span class="bad">{count(refusals.length, of, `${of}s`)} refused</span>}
    </p>
  );
}

const WHY = {
  unreachable: "no connection",
  failed: "the server cannot take it now, it is tried again",
  signed_out: "you are signed out",
  another: "somebody else is signed in on this browser",
};

const ELSEWHERE = { decision: "of other analyses", answer: "given on other pages" };

function words(state: Unsent, of: "decision" | "answer"): string {
  const { waiting, trouble, waitingElsewhere, cannotKeep, unsettled, refusals } = state;
  if (cannotKeep) return "Nothing can be kept in this browser";
  const elsewhere = waitingElsewhere ? `, ${waitingElsewhere} ${ELSEWHERE[of]}` : "";
  if (waiting.length === 0 && unsettled + refusals.length > 0) return "Not all saved:";
  if (waiting.length === 0) return elsewhere ? `Not saved yet: ${elsewhere.slice(2)}` : "All saved";
  return `${waiting.length} not saved yet${elsewhere} – ${trouble ? WHY[trouble.why] : "saving"}`;
}

function Others({ state: { peers, picked }, session }: { state: ReviewState; session: Session }) {
  if (peers.length === 0) return null;
  return (
    <p class="others">
      Also here:
      {peers.map((one) => (
        <button
          type="button"
          class="small"
          key={one.user_id}
          data-peer-listed={one.user}
          onClick={() => session.goTo(around(one))}
          title="Show where they look"
        >
          {one.user}
          {one.building !== null && one.building === picked?.uid ? " (at this building)" : ""}
        </button>
      ))}
    </p>
  );
}

/** What they have on their screen. */
const around = ({ bounds }: Peer) => bounds;
