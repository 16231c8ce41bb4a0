/** The building that is picked: what the model said, what people said, what can be said now. */
import { useEffect, useRef } from "preact/hooks";

import type { Building } from "../api/types";
import { area, percent } from "../geo/format";
import { GRADES, GRADE_NAMES } from "../geo/grades";
import { REVIEW_NAMES } from "../review/decisions";
import type { Session } from "../review/session";
import { useStore } from "../review/store";
import { isFlagged } from "../review/workbench";
import { Decisions } from "./Decisions";
import { History } from "./History";
import { ActionButton, GradeName, Swatch } from "./parts";
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
      <ActionButton session={session} name="next" class="primary" />
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
  const { asking } = useStore(session.desk.store);
  // A key press must not land on the button that was clicked for the building before this one, nor
  // get lost with a question that has been answered.
  useEffect(() => {
    if (asking || session.store.now.table) return; // there the focus stays on its row
    heading.current?.focus({ preventScroll: true });
    heading.current?.closest("aside")?.scrollTo({ top: 0 });
  }, [building.uid, asking]);
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
      <p class={`review review-${building.review}`}>
        {REVIEW_NAMES[building.review]}
        {isFlagged(building) && <b class="flagged"> ⚑ Flagged for a second look</b>}
      </p>
      {session.page.can_review && <Decisions building={building} session={session} />}
      <Facts building={building} />
      {building.probabilities && <Probabilities building={building} />}
      {building.source === "model" && (
        <Why key={building.uid} assessment={session.page.id} building={building} />
      )}
      <History building={building} session={session} />
    </article>
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
                <Swatch grade={grade} /> {GRADE_NAMES[grade]}
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
