/** What comes next, how much of it is left, and the filters. */
import "../styles/queue.css";
import type { Building, Review } from "../api/types";
import { area as areaText, percent } from "../geo/format";
import { ALL_GRADES, GRADE_NAMES, type Grade } from "../geo/grades";
import { areaM2 } from "../geo/outline";
import { REVIEW_NAMES } from "../review/decisions";
import { isFiltered, leftOf, ORDER_NAMES, whoDecided, type Order } from "../review/queue";
import type { Session } from "../review/session";
import { useStore } from "../review/store";
import { GradeMark, KeyOf } from "./parts";

const LISTED = 6; // of the twenty that are there: what one wants to see coming

export function QueuePanel({ session }: { session: Session }) {
  const { queue, view, counts } = useStore(session.store);
  const coming = session.coming();
  const left = counts && leftOf(counts, queue.filters, view.minScore);
  return (
    <section class="queue" aria-labelledby="queue-title" aria-busy={queue.is === "loading"} data-queue={coming.length}>
      <h2 id="queue-title">Queue</h2>
      <p class="left" data-left={left?.left ?? queue.count ?? ""}>
        <Left session={session} />
      </p>
      {left && left.total > 0 && queue.filters.state === "unreviewed" && (
        <progress
          aria-label="Looked at"
          max={left.total}
          value={left.total - left.left}
        />
      )}
      <div class="pair">
        <button type="button" onClick={() => void session.previous()}>
          Previous <KeyOf session={session} name="previous" />
        </button>
        <button type="button" onClick={() => void session.next()}>
          Next <KeyOf session={session} name="next" />
        </button>
        <button type="button" aria-pressed={session.store.now.table !== null} onClick={() => session.toggleTable()}>
          Table <KeyOf session={session} name="table" />
        </button>
      </div>
      <Coming coming={coming} session={session} />
      <FilterForm session={session} />
    </section>
  );
}

function Left({ session }: { session: Session }) {
  const { queue, view, counts } = useStore(session.store);
  const number = (n: number) => <b>{n.toLocaleString("en")}</b>;
  const what = queue.filters.state === "unreviewed" ? "to look at" : "match the filters";
  if (queue.count !== null) return <>{number(queue.count)} {what}</>;
  const left = counts && leftOf(counts, queue.filters, view.minScore);
  if (!left) return <>Counting…</>;
  return <>{number(left.left)} of {left.total.toLocaleString("en")} {what}</>;
}

function Coming({ coming, session }: { coming: readonly Building[]; session: Session }) {
  const { queue, view } = useStore(session.store);
  if (coming.length === 0 && (queue.is === "loading" || queue.is === "waiting")) {
    return <p class="quiet">Looking for what comes next…</p>;
  }
  if (queue.is === "failed") {
    return (
      <p class="bad-news" role="alert">
        The queue could not be fetched. What you decided is kept.{" "}
        <button type="button" class="small" onClick={() => void session.refreshQueue()}>Try again</button>
      </p>
    );
  }
  if (coming.length === 0) {
    const filtered = isFiltered(queue.filters);
    return (
      <p class="quiet">
        {filtered
          ? "Nothing that these filters leave is waiting. "
          : `Nothing with a score of ${percent(view.minScore)} or more is waiting. `}
        {filtered ? (
          <button type="button" class="small" onClick={() => session.clearFilters()}>Clear the filters</button>
        ) : (
          "Lower the score in the legend to see more, or download the result."
        )}
      </p>
    );
  }
  return (
    <>
      <ol class="rows coming" aria-label="Coming next">
        {coming.slice(0, LISTED).map((one) => (
          <li key={one.uid}>
            <button type="button" class="row" data-coming={one.uid} onClick={() => void session.pick(one.uid)}>
              <GradeMark grade={one.grade} />
              <span>{GRADE_NAMES[one.grade]}</span>
              <span class="quiet">
                {one.score === null ? "by hand" : percent(one.score)} · {areaText(one.area_m2)}
              </span>
            </button>
          </li>
        ))}
      </ol>
      {!queue.ordered && queue.order === "value" && (
        <p class="quiet">In the model’s order, until what is most worth a look is worked out.</p>
      )}
    </>
  );
}

function FilterForm({ session }: { session: Session }) {
  const { queue, people, view, drawingFilter } = useStore(session.store);
  const { filters, order } = queue;
  const mine = session.teams.myArea();
  const names = whoDecided(people, queue, session.page.user);
  const states = (Object.keys(REVIEW_NAMES) as Review[]);
  return (
    <details class="fold filters" onToggle={({ currentTarget }) => currentTarget.open && void session.refreshPeople()}>
      <summary>Order and filters{isFiltered(filters) ? " (on)" : ""}</summary>
      <label>
        Order
        <select
          name="order"
          value={order}
          onChange={(event) => session.orderQueue(event.currentTarget.value as Order)}
        >
          {(Object.keys(ORDER_NAMES) as Order[]).map((one) => (
            <option key={one} value={one}>{ORDER_NAMES[one]}</option>
          ))}
        </select>
      </label>
      <label>
        Grade
        <select
          name="grade-filter"
          value={filters.grade}
          onChange={(event) => session.filterQueue({ grade: event.currentTarget.value as Grade | "" })}
        >
          <option value="">Any</option>
          {ALL_GRADES.map((grade) => <option key={grade} value={grade}>{GRADE_NAMES[grade]}</option>)}
        </select>
      </label>
      <label>
        State
        <select
          name="state-filter"
          value={filters.state}
          onChange={(event) => session.filterQueue({ state: event.currentTarget.value as Review | "any" })}
        >
          <option value="any">Any</option>
          {states.map((state) => <option key={state} value={state}>{REVIEW_NAMES[state]}</option>)}
        </select>
      </label>
      <label>
        Decided by
        <select
          name="who-filter"
          value={filters.who}
          onChange={(event) => {
            const who = event.currentTarget.value;
            const state = who && filters.state === "unreviewed" ? "any" : filters.state;
            session.filterQueue({ who, state });
          }}
        >
          <option value="">Anybody</option>
          {names.map((name) => (
            <option key={name} value={name}>{name === session.page.user ? `Me (${name})` : name}</option>
          ))}
        </select>
      </label>
      <label>
        Score from {percent(view.minScore)} (as in the legend) to
        <select
          name="score-filter"
          value={String(filters.maxScore)}
          onChange={(event) => session.filterQueue({ maxScore: Number(event.currentTarget.value) })}
        >
          {[1, 0.9, 0.8, 0.7, 0.6, 0.5].map((score) => (
            <option key={score} value={String(score)}>{percent(score)}</option>
          ))}
        </select>
      </label>
      <label class="check">
        <input
          type="checkbox"
          name="flagged-filter"
          checked={filters.flagged}
          onChange={(event) => {
            const flagged = event.currentTarget.checked;
            const state = flagged && filters.state === "unreviewed" ? "any" : filters.state;
            session.filterQueue({ flagged, state });
          }}
        />
        Only flagged for a second look
      </label>
      <div class="pair">
        {mine && filters.area !== mine && (
          <button type="button" onClick={() => session.filterQueue({ area: mine })}>Only my area</button>
        )}
        {drawingFilter ? (
          <button type="button" onClick={() => session.stopFilter()}>Stop drawing</button>
        ) : (
          <button type="button" onClick={() => session.drawFilter()}>
            {filters.area ? "Draw another area" : "Only inside an area…"}
          </button>
        )}
        {filters.area && (
          <button type="button" onClick={() => session.filterQueue({ area: null })}>
            Everywhere (now {areaText(areaM2(filters.area))})
          </button>
        )}
        {isFiltered(filters) && (
          <button type="button" onClick={() => session.clearFilters()}>Clear the filters</button>
        )}
      </div>
    </details>
  );
}
