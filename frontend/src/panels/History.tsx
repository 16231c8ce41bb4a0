/** Everything that was ever decided on a building: what, by whom, when, on which version, and why. */
import type { Building, PastDecision } from "../api/types";
import { when } from "../geo/format";
import { GRADE_NAMES } from "../geo/grades";
import { KIND_NAMES } from "../review/decisions";
import type { Session } from "../review/session";
import { useStore } from "../review/store";

/** Reasons that a decision names by a word. */
const BECAUSE: Record<string, string> = {
  cloud: "cloud or haze lies over it",
  shadow: "it lies in shadow",
  hidden: "something hides it",
  bad_image: "the image is bad here",
  no_before: "it cannot be told without an image from before",
  other: "another reason",
};

export function History({ building, session }: { building: Building; session: Session }) {
  const { waiting } = useStore(session.store);
  const ours = waiting.filter(({ draft }) => draft.building === building.uid).reverse();
  const newestFirst = [...building.history].sort((a, b) => b.number - a.number);
  if (newestFirst.length + ours.length === 0) {
    return <p class="quiet">Nobody has looked at this building yet.</p>;
  }
  return (
    <section>
      <h3>History</h3>
      <ol class="history">
        {ours.map(({ draft }) => (
          <li key={draft.id} data-unsaved>
            <b>{KIND_NAMES[draft.kind]}</b> by you
            <span class="quiet">on version {draft.on_version}, not saved yet</span>
          </li>
        ))}
        {newestFirst.map((one) => (
          <li key={one.id} data-decision={one.number}>
            <b>
              {KIND_NAMES[one.kind]}
              {one.kind === "regrade" ? ` to ${GRADE_NAMES[one.grade].toLowerCase()}` : ""}
            </b>{" "}
            by {one.user}
            <span class="quiet">
              {when(one.made_at)}, on version {one.on_version}
            </span>
            {why(one) && <span class="quiet">because: {why(one)}</span>}
          </li>
        ))}
      </ol>
    </section>
  );
}

function why(one: PastDecision): string {
  const { because } = one as { because?: string };
  const named = because ? (BECAUSE[because] ?? because) : "";
  return [named, one.reason].filter(Boolean).join("; ");
}
