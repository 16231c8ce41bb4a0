/** What the colours mean, how many there are, and which are shown. */
import { ALL_GRADES, GRADE_NAMES } from "../geo/grades";
import { count, percent } from "../geo/format";
import type { Session } from "../review/session";
import { useStore } from "../review/store";
import { tally } from "../review/tally";
import { GradeMark, Swatch } from "./parts";

/** On narrower windows the legend would hide the map; as in map.css. */
const NARROW_PX = 960;

const WHY = { nodata: "no pixels", damaged: "the file is damaged there" };

export function Legend({ session }: { session: Session }) {
  const { counts, view, progress, gaps, queue } = useStore(session.store);
  const minPercent = Math.round(view.minScore * 100);
  const total = counts && tally(counts, minPercent);
  if (progress?.state !== "done") return null;
  const grades = ALL_GRADES.filter((g) => g !== "unclassified" || (total?.byGrade[g] ?? 0) > 0);
  return (
    <details class="card legend" open={innerWidth > NARROW_PX} aria-label="Legend and filters">
      <summary>Damage grade</summary>
      <ul>
        {grades.map((grade) => (
          <li key={grade}>
            <GradeMark grade={grade} />
            <Swatch grade={grade} />
            <span>{GRADE_NAMES[grade]}</span>
            <b data-count={grade}>{total ? total.byGrade[grade].toLocaleString("en") : "–"}</b>
          </li>
        ))}
        {gaps && gaps.features.length > 0 && (
          <li data-gaps={gaps.features.map(({ properties }) => properties.reason).join(" ")}>
            <span class="grade-mark hatch" aria-hidden="true" />
            <span>Not analysed: {gaps.features.map((gap) => WHY[gap.properties.reason]).join(", ")}</span>
          </li>
        )}
        {queue.filters.area && (
          <li data-filter-area>
            <span class="grade-mark filter-line" aria-hidden="true" />
            <span>Where the queue looks</span>
          </li>
        )}
      </ul>
      <Marks />
      <label class="slider">
        <span>
          Score at least <output>{minPercent} %</output>
        </span>
        <input
          type="range"
          name="score"
          min={Math.floor((progress.min_score ?? 0) * 100)}
          max={100}
          value={minPercent}
          onInput={(event) => session.look({ minScore: event.currentTarget.valueAsNumber / 100 })}
        />
      </label>
      <label class="slider">
        <span>
          Fill <output>{percent(view.opacity)}</output>
        </span>
        <input
          type="range"
          name="opacity"
          min={0}
          max={90}
          value={view.opacity * 100}
          onInput={(event) => session.look({ opacity: event.currentTarget.valueAsNumber / 100 })}
        />
      </label>
      <label class="check">
        <input
          type="checkbox"
          name="rejected"
          checked={view.showRejected}
          onChange={(event) => session.look({ showRejected: event.currentTarget.checked })}
        />
        Show rejected{total ? ` (${total.rejected.toLocaleString("en")})` : ""}
      </label>
      {total && (
        <p class="quiet" data-shown={total.shown}>
          {count(total.shown, "building", "buildings")}, {total.reviewed.toLocaleString("en")} reviewed
          {total.hidden > 0 && `; ${total.hidden.toLocaleString("en")} below the score`}
        </p>
      )}
    </details>
  );
}

const MARKS = {
  solid: "Nobody has looked yet",
  ticked: "Decided: white rim and tick",
  dashed: "Cannot be told: dashed, three dots",
  dotted: "No building: dotted, crossed out",
  pennant: "Flagged for a second look: pennant",
} as const;

/** How far the review is, told by form as on the map. */
function Marks() {
  return (
    <details class="marks">
      <summary>Marks on the map</summary>
      <ul>
        {Object.entries(MARKS).map(([form, words]) => (
          <li key={form}>
            <span class={`mark mark-${form}`} aria-hidden="true" />
            <span>{words}</span>
          </li>
        ))}
      </ul>
    </details>
  );
}
