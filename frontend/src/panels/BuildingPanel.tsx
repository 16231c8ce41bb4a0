/** The building that is picked: what the model said, what people said, what can be said now. */
import { useEffect, useRef } from "preact/hooks";

import type { Building, PastDecision } from "../api/types";
import { area, percent, when } from "../geo/format";
import { GRADES, GRADE_KEYS, GRADE_NAMES } from "../geo/grades";
import { KIND_NAMES, REVIEW_NAMES } from "../review/decisions";
import type { Session } from "../review/session";
import { useStore } from "../review/store";
import { GradeMark, GradeName, Key } from "./parts";
import { Why } from "./Why";

export function BuildingPanel({ session }: { session: Session }) {
  const { picked, opening, counts } = useStore(session.store);
  if (!picked) return opening ? <p class="quiet">Opening…</p> : <Hint none={counts?.length === 0} session={session} />;
  return <Details building={picked} opening={opening} session={session} />;
}

function Hint({ none, session }: { none: boolean; session: Session }) {
  if (none) {
    return (
      <div class="empty">
        <h2>No buildings were found</h2>
        <p>
          Check that the scene shows built-up ground. You can still add buildings by hand:
          choose “Add a building” above the map.
        </p>
      </div>
    );
  }
  return (
    <div class="empty">
      <h2>Pick a building</h2>
      <p>Click one on the map, or let the one most worth a look come to you.</p>
      <button type="button" class="primary" onClick={() => void session.next()}>
        Next building <Key>N</Key>
      </button>
    </div>
  );
}

interface DetailsProps {
  building: Building;
  opening: boolean;
  session: Session;
}

function Details({ building, opening, session }: DetailsProps) {
  const heading = useRef<HTMLHeadingElement>(null);
  // A key press must not land on the button that was clicked for the building before this one.
  useEffect(() => {
    if (session.store.now.table) return; // there the focus stays on its row
    heading.current?.focus({ preventScroll: true });
    heading.current?.closest("aside")?.scrollTo({ top: 0 });
  }, [building.uid]);
  return (
    <article
      class="building"
      data-building={building.uid}
      data-review={building.review}
      data-version={building.version}
      aria-busy={opening}
    >
      <h2 ref={heading} tabIndex={-1}>
        <GradeName grade={building.grade} />
      </h2>
      <p class={`review review-${building.review}`}>{REVIEW_NAMES[building.review]}</p>
      {session.page.can_review && <Actions building={building} session={session} />}
      <Facts building={building} />
      {building.probabilities && <Probabilities building={building} />}
      {building.source === "model" && (
        <Why key={building.uid} assessment={session.page.id} building={building} />
      )}
      <History history={building.history} />
    </article>
  );
}

function Actions({ building, session }: { building: Building; session: Session }) {
  const regrade = (grade: (typeof GRADES)[number]) => () => session.decide("regrade", grade);
  return (
    <div class="actions">
      <div class="pair">
        <button type="button" class="accept" onClick={() => session.decide("accept")}>
          Accept <Key>Space</Key>
        </button>
        <button type="button" class="reject" onClick={() => session.decide("reject")}>
          No building <Key>X</Key>
        </button>
      </div>
      <fieldset class="grades">
        <legend>Change the grade</legend>
        {GRADES.map((grade) => (
          <button
            type="button"
            key={grade}
            name={grade}
            aria-pressed={building.grade === grade}
            onClick={regrade(grade)}
          >
            <GradeMark grade={grade} />
            {GRADE_NAMES[grade]}
          </button>
        ))}
      </fieldset>
      <button type="button" onClick={() => session.redraw()}>
        Redraw the outline <Key>E</Key>
      </button>
    </div>
  );
}

const WHY_NO_GRADE = {
  near_tie: "two grades are nearly as likely",
  edge: "the image shows too little of it",
  nodata: "too little of it has pixels",
  cloud: "cloud or haze lies over it",
};

function Facts({ building }: { building: Building }) {
  return (
    <dl class="facts">
      <dt>Score</dt>
      <dd>{building.score === null ? "drawn by hand" : `${percent(building.score)} that it is a building`}</dd>
      {building.unclassified_because && (
        <>
          <dt>No grade because</dt>
          <dd>{WHY_NO_GRADE[building.unclassified_because]}</dd>
        </>
      )}
      {building.grade_score !== null && building.grade !== "unclassified" && (
        <>
          <dt>Grade score</dt>
          <dd>{percent(building.grade_score)}</dd>
        </>
      )}
      <dt>Area</dt>
      <dd>{area(building.area_m2)}</dd>
      {building.model_grade && building.model_grade !== building.grade && (
        <>
          <dt>The model said</dt>
          <dd>{GRADE_NAMES[building.model_grade].toLowerCase()}</dd>
        </>
      )}
      <dt>Source</dt>
      <dd>{building.source === "model" ? "found by the model" : "drawn by an analyst"}</dd>
      <dt>Version</dt>
      <dd>{building.version === 0 ? "0, as the model said" : building.version}</dd>
    </dl>
  );
}

function Probabilities({ building }: { building: Building }) {
  return (
    <section aria-label="What the model gave each grade">
      <h3>The model’s probabilities</h3>
      <ul class="bars">
        {GRADES.map((grade) => {
          const share = building.probabilities?.[grade] ?? 0;
          return (
            <li key={grade}>
              <span>
                {GRADE_KEYS[grade]} {GRADE_NAMES[grade]}
              </span>
              <span class="share">
                <span class={`grade-${grade}`} style={{ width: `${share * 100}%` }} />
              </span>
              <b>{percent(share)}</b>
            </li>
          );
        })}
      </ul>
    </section>
  );
}

function History({ history }: { history: readonly PastDecision[] }) {
  if (history.length === 0) return <p class="quiet">Nobody has looked at this building yet.</p>;
  const newestFirst = [...history].sort((a, b) => b.number - a.number);
  return (
    <section>
      <h3>History</h3>
      <ol class="history">
        {newestFirst.map((one) => (
          <li key={one.id}>
            <b>
              {KIND_NAMES[one.kind]}
              {one.kind === "regrade" && one.grade ? ` to ${GRADE_NAMES[one.grade].toLowerCase()}` : ""}
            </b>{" "}
            by {one.user ?? "a former user"}
            <span class="quiet">
              {when(one.made_at)}, on version {one.on_version}
            </span>
          </li>
        ))}
      </ol>
    </section>
  );
}
