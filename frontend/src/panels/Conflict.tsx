/** Somebody else was quicker: the building as we saw it, as we want it, and as they left it. */
import { useEffect, useRef } from "preact/hooks";
import "../styles/conflict.css";

import { when } from "../geo/format";
import { GRADE_NAMES, type Grade } from "../geo/grades";
import { pathsOf, sameOutline } from "../geo/pictures";
import { sidesOf, type Sides } from "../review/clash";
import { KIND_NAMES, REVIEW_NAMES } from "../review/decisions";
import type { Clash } from "../review/log/ledger";
import type { Session } from "../review/session";

export function Conflict({ clash, left, session }: { clash: Clash; left: number; session: Session }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (!dialog.current?.open) dialog.current?.showModal();
  }, [clash]);
  const { mine } = clash;
  const sides = sidesOf(clash);
  const { base, mine: wanted, theirs, whole } = sides;
  const last = [...clash.theirs.history].sort((a, b) => b.number - a.number)[0];
  const part = clash.uid !== clash.theirs.uid;
  const grade = whole ? whole.grade : wanted.grade;
  const review = whole ? mergedInto(whole) : REVIEW_NAMES[wanted.review];
  const choose = (event: KeyboardEvent): void => {
    const { key } = event;
    if (key === "m" || key === "t") {
      event.preventDefault();
      session.settle(key === "m");
    }
  };
  return (
    <dialog
      ref={dialog}
      class="conflict"
      aria-labelledby="conflict-title"
      aria-describedby="conflict-why"
      onKeyDown={choose}
      onCancel={(event) => {
        event.preventDefault();
        session.postpone();
      }}
    >
      <h2 id="conflict-title">Someone else was quicker</h2>
      <p id="conflict-why">
        {last?.user ?? clash.theirs.updated_by ?? "Somebody"} changed {part ? "a part of what you merged" : "this building"} after you had seen it
        {last ? ` (${when(last.made_at)})` : ""}. {whole ? "This is that part. " : ""}Nothing of yours is lost: choose what shall stand.
        {left > 1 ? ` ${left - 1} more to choose after this one.` : ""}
      </p>
      <table>
        <thead>
          <tr>
            <td />
            <th scope="col">As you saw it</th>
            <th scope="col">Yours</th>
            <th scope="col">Theirs</th>
          </tr>
        </thead>
        <tbody>
          <tr>
            <th scope="row">Grade</th>
            <td>{base ? GRADE_NAMES[base.grade] : "not known"}</td>
            <Cell text={grade ? GRADE_NAMES[grade] : "not known"} was={base && GRADE_NAMES[base.grade]} />
            <Cell text={GRADE_NAMES[theirs.grade]} was={base && GRADE_NAMES[base.grade]} />
          </tr>
          <tr>
            <th scope="row">Review</th>
            <td>{base ? REVIEW_NAMES[base.review] : "not known"}</td>
            <Cell text={review} was={base && REVIEW_NAMES[base.review]} />
            <Cell text={REVIEW_NAMES[theirs.review]} was={base && REVIEW_NAMES[base.review]} />
          </tr>
          <tr>
            <th scope="row">Decided</th>
            <td>{base ? `version ${base.version}${base.updated_by ? `, by ${base.updated_by}` : ""}` : "not known"}</td>
            <td>
              {mine.map(({ draft }) => KIND_NAMES[draft.kind]).join(", then ")}, by you,{" "}
              {when(mine.at(-1)?.made_at ?? "")}
            </td>
            <td>
              {last ? `${KIND_NAMES[last.kind]}, by ${last.user}, ${when(last.made_at)}` : ""}, version{" "}
              {theirs.version}
              {last?.reason ? `: ${last.reason}` : ""}
            </td>
          </tr>
        </tbody>
      </table>
      <Outlines {...sides} />
      <div class="pair">
        <button type="button" onClick={() => session.settle(false)} data-keep="theirs">
          Keep theirs <kbd aria-hidden="true">T</kbd>
        </button>
        <button type="button" class="primary" onClick={() => session.settle(true)} data-keep="mine">
          Put mine on top <kbd aria-hidden="true">M</kbd>
        </button>
        <button type="button" onClick={() => session.postpone()}>
          Choose later <kbd aria-hidden="true">Esc</kbd>
        </button>
      </div>
    </dialog>
  );
}

const mergedInto = ({ grade }: { grade: Grade | null }): string =>
  grade ? `Merged into a building of grade “${GRADE_NAMES[grade]}”` : "Merged into another building";

/** Marked where it differs from what was seen; by a word, not only by its look. */
function Cell({ text, was }: { text: string; was: string | null }) {
  if (was === null || was === text) return <td>{text}</td>;
  return (
    <td>
      <mark>{text}</mark> <span class="quiet">changed</span>
    </td>
  );
}

const SIDE_PX = 180;

function Outlines({ base, mine, theirs, whole }: Sides) {
  const outlines = [base ?? theirs, whole ?? mine, theirs].map(({ outline }) => outline);
  if (outlines.every((one) => sameOutline(one, theirs.outline))) {
    return <p class="quiet">The outline is the same in all three.</p>;
  }
  const [seen, ours, other] = pathsOf(outlines, SIDE_PX);
  return (
    <figure class="outlines">
      <svg
        viewBox={`0 0 ${SIDE_PX} ${SIDE_PX}`}
        role="img"
        aria-label="The three outlines over each other, north up"
      >
        {base && <path class="seen" d={seen} />}
        <path class="theirs" d={other} />
        <path class="mine" d={ours} />
      </svg>
      <figcaption>
        {base && <Named name="seen" text="as you saw it: dotted" />}
        <Named name="mine" text={whole ? "yours, the whole: solid" : "yours: solid"} />
        <Named name="theirs" text="theirs: dashed" />
      </figcaption>
    </figure>
  );
}

function Named({ name, text }: { name: string; text: string }) {
  return (
    <span>
      <svg viewBox="0 0 32 8" aria-hidden="true" class="sample">
        <path class={name} d="M1 4H31" />
      </svg>
      {text}
    </span>
  );
}
