/** The same buildings and the same acts as a table: for screen readers, and for whoever likes it. */
import "../styles/queue.css";
import { Fragment } from "preact";
import { useEffect, useRef } from "preact/hooks";

import type { Building } from "../api/types";
import { area, percent, when } from "../geo/format";
import { GRADES, GRADE_NAMES } from "../geo/grades";
import { REVIEW_NAMES } from "../review/decisions";
import type { DeskState } from "../review/desk";
import { TABLE_ROWS } from "../review/lists";
import { isFiltered } from "../review/queue";
import type { Session } from "../review/session";
import { useStore } from "../review/store";
import type { Table } from "../review/table";
import { isFlagged } from "../review/workbench";
import { Question } from "./Decisions";
import { GradeName } from "./parts";

const COLUMNS = 7;

export function TablePanel({ session }: { session: Session }) {
  const { table } = useStore(session.store);
  return table && <Open table={table} session={session} />;
}

function Open({ table, session }: { table: Table; session: Session }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    const from = document.activeElement;
    const covered = [...document.querySelectorAll<HTMLElement>(".stage > :not(#table, #notices, [inert])")];
    for (const one of covered) one.inert = true; // nobody is to come by Tab to what cannot be seen
    heading.current?.focus();
    return () => {
      for (const one of covered) one.inert = false;
      if (from instanceof HTMLElement) from.focus();
    };
  }, []);
  const first = (table.cursors.length - 1) * TABLE_ROWS + 1;
  const last = first + table.rows.length - 1;
  const range = table.rows.length ? `${first.toLocaleString("en")} to ${last.toLocaleString("en")}` : "none";
  return (
    <section class="table-view" aria-labelledby="table-title" aria-busy={table.is === "loading"} data-table={table.is}>
      <header>
        <h2 id="table-title" ref={heading} tabIndex={-1}>Buildings as a table</h2>
        {table.order !== "value" && (
          <button type="button" onClick={() => session.sortTable("value")}>Most worth a look first</button>
        )}
        <States session={session} />
        <button type="button" onClick={() => session.toggleTable()}>Back to the map</button>
      </header>
      <div class="scroll">
        <Rows table={table} session={session} />
      </div>
      <nav aria-label="Pages of the table">
        <button type="button" disabled={table.cursors.length === 1} onClick={() => session.turnTable(false)}>
          Rows before
        </button>
        <span role="status">{table.is === "loading" ? "Loading…" : `Rows ${range}`}</span>
        <button type="button" disabled={table.next === null} onClick={() => session.turnTable(true)}>
          Rows after
        </button>
      </nav>
    </section>
  );
}

function States({ session }: { session: Session }) {
  const { queue } = useStore(session.store);
  const all = queue.filters.state === "any";
  return (
    <>
      <label class="check">
        <input
          type="checkbox"
          name="table-all"
          checked={all}
          onChange={() => session.filterQueue({ state: all ? "unreviewed" : "any" })}
        />
        Those decided on as well
      </label>
      {isFiltered({ ...queue.filters, state: "unreviewed" }) && <span class="quiet">Filters of the queue are on.</span>}
    </>
  );
}

function Rows({ table, session }: { table: Table; session: Session }) {
  const { picked, queue } = useStore(session.store);
  const { asking } = useStore(session.desk.store);
  const filtered = isFiltered(queue.filters);
  const caption =
    table.order === "value" ? "most worth a look first" : SORTED[table.order];
  return (
    <table>
      <caption>
        {filtered ? "Buildings that the filters leave" : "Buildings nobody has decided on"}, {caption}. Arrow
        keys up and down go from row to row; the single keys decide on the row that is marked.
      </caption>
      <thead>
        <tr>
          <th scope="col">Building</th>
          <th scope="col">Grade</th>
          <Sorted label="Score" ascending="score" descending="surest" table={table} session={session} />
          <th scope="col" class="number">Area</th>
          <th scope="col">State</th>
          <Sorted label="Decided" ascending="oldest" descending="newest" table={table} session={session} />
          {session.page.can_review && <th scope="col">Decide</th>}
        </tr>
      </thead>
      <tbody onKeyDown={walk}>
        {table.rows.map((row) => {
          const is = picked?.uid === row.uid;
          return (
            <Fragment key={row.uid}>
              <Row row={row} picked={is} asked={is ? asking : null} session={session} />
              {is && asking && <Asked session={session} />}
            </Fragment>
          );
        })}
        {table.rows.length === 0 && (
          <tr>
            <td colSpan={COLUMNS}>
              {table.is === "loading" && "Loading…"}
              {table.is === "ready" && "No building matches. Clear the filters beside the map, or lower the score."}
              {table.is === "failed" && (
                <>
                  The table could not be fetched.{" "}
                  <button type="button" onClick={() => session.sortTable(table.order)}>Try again</button>
                </>
              )}
            </td>
          </tr>
        )}
      </tbody>
    </table>
  );
}

const SORTED = {
  score: "lowest score first",
  surest: "highest score first",
  oldest: "oldest decision first",
  newest: "newest decision first",
};

interface SortedProps {
  label: string;
  ascending: Table["order"];
  descending: Table["order"];
  table: Table;
  session: Session;
}

function Sorted({ label, ascending, descending, table, session }: SortedProps) {
  const sort =
    table.order === ascending ? "ascending" : table.order === descending ? "descending" : "none";
  return (
    <th scope="col" aria-sort={sort}>
      <button
        type="button"
        onClick={() => session.sortTable(sort === "ascending" ? descending : ascending)}
      >
        {label} <span aria-hidden="true">{{ ascending: "▲", descending: "▼", none: "↕" }[sort]}</span>
      </button>
    </th>
  );
}

/** The question about the row above: as beside the map, the digits choose a reason. */
function Asked({ session }: { session: Session }) {
  const row = useRef<HTMLTableRowElement>(null);
  useEffect(() => {
    const here = row.current;
    const button = nameOf(here?.previousElementSibling);
    return () => {
      const now = document.activeElement; // gone with the question, unless one went elsewhere
      if (now === document.body || here?.contains(now)) button?.focus();
    };
  }, []);
  return (
    <tr class="asked" ref={row}>
      <td colSpan={COLUMNS}>
        <Question session={session} />
      </td>
    </tr>
  );
}

const nameOf = (row: Element | null | undefined): HTMLElement | null => row?.querySelector("th button") ?? null;

interface RowProps {
  row: Building;
  picked: boolean;
  /** The question that is open about it. */
  asked: DeskState["asking"];
  session: Session;
}

function Row({ row, picked, asked, session }: RowProps) {
  const name = `Building ${row.uid.slice(0, 8)}`;
  /** On this row, whichever was picked before; it is known, so nothing is waited for. */
  const on = (act: () => void) => (): void => {
    void session.pick(row.uid);
    act();
  };
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (!picked) return;
    const now = document.activeElement;
    // With the keys one walks on: the focus goes along, unless it is on a button of its own
    if (now?.matches(".table-view tbody th button")) button.current?.focus();
    else button.current?.scrollIntoView({ block: "nearest" });
  }, [picked]);
  return (
    <tr data-row={row.uid} data-picked={picked} data-review={row.review}>
      <th scope="row">
        <button type="button" ref={button} aria-label={name} aria-current={picked} onClick={() => void session.pick(row.uid)}>
          {row.uid.slice(0, 8)}
        </button>
      </th>
      <td><GradeName grade={row.grade} /></td>
      <td class="number">{row.score === null ? "by hand" : percent(row.score)}</td>
      <td class="number">{area(row.area_m2)}</td>
      <td class="wraps">
        {REVIEW_NAMES[row.review]}
        {isFlagged(row) && <b class="flagged"> ⚑ Flagged</b>}
      </td>
      <td class="wraps">{row.version > 0 ? `${row.updated_by ?? "a former user"}, ${when(row.updated_at)}` : "–"}</td>
      {session.page.can_review && (
        <td>
          <div class="acts">
            <button type="button" aria-label={`Accept ${name}`} onClick={on(() => session.decide("accept"))}>Accept</button>
            <button type="button" aria-label={`No building: reject ${name}`} onClick={on(() => session.decide("reject"))}>No building</button>
            <select
              aria-label={`Grade of ${name}`}
              value=""
              onChange={(event) => {
                const grade = GRADES.find((one) => one === event.currentTarget.value);
                event.currentTarget.value = "";
                if (grade) on(() => session.decide("regrade", grade))();
              }}
            >
              <option value="">Grade…</option>
              {GRADES.map((grade) => <option key={grade} value={grade}>{GRADE_NAMES[grade]}</option>)}
            </select>
            <button
              type="button"
              name="unsure"
              aria-label={`Unsure: say why ${name} cannot be judged`}
              aria-expanded={asked === "unsure"}
              onClick={on(() => session.desk.ask("unsure"))}
            >
              Unsure…
            </button>
            <button
              type="button"
              name="flag"
              title="Flag for a second look"
              aria-label={`Flag ${name} for a second look`}
              aria-pressed={isFlagged(row)}
              onClick={on(() => (isFlagged(row) ? session.unflag() : session.flag()))}
            >
              ⚑
            </button>
            <button
              type="button"
              name="flagNote"
              title="Flag, with a note"
              aria-label={`Flag ${name}, with a note`}
              aria-expanded={asked === "flag"}
              onClick={on(() => session.desk.ask("flag"))}
            >
              ⚑…
            </button>
          </div>
        </td>
      )}
    </tr>
  );
}

/** Up and down stay in the column that has the focus. */
function walk(event: KeyboardEvent): void {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const target = event.target;
  if (step === undefined || !(target instanceof HTMLElement) || target.matches("select")) return;
  const all = [...(target.closest("tbody")?.querySelectorAll("[data-row]") ?? [])];
  const at = all.findIndex((row) => row.contains(target));
  const button = at < 0 ? null : nameOf(all[at + step]); // none in the question below a row
  if (!button) return;
  event.preventDefault();
  button.focus();
  button.click();
}
