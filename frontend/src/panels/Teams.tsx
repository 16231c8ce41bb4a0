/** Who reviews which area, and what waits for a second look. */
import { useState } from "preact/hooks";
import "../styles/teams.css";

import type { Answer, Team, TeamArea } from "../api/teams";
import { duration } from "../geo/format";
import { boundsOf } from "../geo/outline";
import { standing } from "../map/teamLayer";
import type { Session } from "../review/session";
import { useStore } from "../review/store";
import { ANSWER_NAMES } from "../teams/answers";

export function Teams({ session }: { session: Session }) {
  const { team, trouble } = useStore(session.teams.store);
  const areas = team?.areas ?? [];
  const finished = areas.filter(({ state }) => state === "finished").length;
  const mine = areas.find((one) => one.mine && one.state === "claimed");
  const told = !team ? "…" : areas.length ? `${finished} of ${areas.length} areas finished` : "no areas yet";
  return (
    <details
      class="fold team-panel"
      data-team-areas={team ? areas.length : ""}
      data-mine={mine?.label ?? ""}
      onToggle={({ currentTarget }) => session.teams.setOpen(currentTarget.open)}
    >
      <summary>
        Team: {told}
        {mine && `, yours is ${mine.label}`}
      </summary>
      {trouble && <p class="notice bad">{trouble}</p>}
      {!team && !trouble && <p class="quiet busy">Asking who works where</p>}
      {team && (areas.length ? <Areas team={team} session={session} /> : <Split session={session} />)}
      {team && (
        <p class="pair">
          <button type="button" class="small" onClick={() => session.drawTeamArea()}>
            Draw an area
          </button>
          {areas.length > 0 && session.page.is_admin && (
            <button type="button" class="small" onClick={() => void session.teams.removeAll()}>
              Remove all areas
            </button>
          )}
        </p>
      )}
      {session.page.is_admin && <Control session={session} />}
      {team && <Waiting team={team} id={session.page.id} />}
    </details>
  );
}

function Split({ session }: { session: Session }) {
  const { busy } = useStore(session.teams.store);
  const [columns, setColumns] = useState(4);
  const [rows, setRows] = useState(4);
  const [buildings, setBuildings] = useState(200);
  return (
    <>
      <p class="quiet">Split the image, so that nobody reviews what somebody else does.</p>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void session.teams.splitByGrid(columns, rows);
        }}
      >
        <span class="field-inline">
          <Count label="Columns" value={columns} most={50} onValue={setColumns} /> ×
          <Count label="Rows" value={rows} most={50} onValue={setRows} />
        </span>
        <button type="submit" class="small" disabled={busy}>
          Split into a grid
        </button>
      </form>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void session.teams.splitByBuildings(buildings);
        }}
      >
        <span class="field-inline">
          About <Count label="Buildings in each area" value={buildings} most={100_000} onValue={setBuildings} /> each
        </span>
        <button type="submit" class="small" disabled={busy}>
          Split by buildings
        </button>
      </form>
    </>
  );
}

interface CountProps {
  label: string;
  value: number;
  most: number;
  onValue(value: number): void;
}

function Count({ label, value, most, onValue }: CountProps) {
  return (
    <input
      type="number"
      aria-label={label}
      min={1}
      max={most}
      required
      value={value}
      onInput={({ currentTarget }) => onValue(currentTarget.valueAsNumber || 0)}
    />
  );
}

function Areas({ team, session }: { team: Team; session: Session }) {
  const { outside } = team;
  return (
    <>
      <ul class="team-areas" aria-label="Review areas">
        {team.areas.map((one) => (
          <Area key={one.id} area={one} team={team} session={session} />
        ))}
      </ul>
      {outside.buildings > 0 && (
        <p class="quiet">
          In no area: {outside.reviewed} of {outside.buildings} reviewed.
        </p>
      )}
    </>
  );
}

function Area({ area, team, session }: { area: TeamArea; team: Team; session: Session }) {
  const { label, buildings, reviewed, silent_seconds, expired } = area;
  return (
    <li data-area={label} data-state={area.state} data-mine={area.mine && area.state === "claimed"}>
      <span>
        <button type="button" class="link" onClick={() => session.goTo(boundsOf(area.outline))}>
          {label}
        </button>
        : {standing(area)}
      </span>
      <Actions area={area} session={session} />
      <progress value={reviewed} max={Math.max(1, buildings)} aria-label={`Reviewed in ${label}`} />
      <span class="quiet">
        {reviewed} of {buildings} reviewed
        {area.state === "finished" && reviewed < buildings && <span class="warn"> – not all of them</span>}
        {expired && !area.mine && silent_seconds !== null && (
          <span class="warn"> – silent for {duration(silent_seconds)}, you may take over</span>
        )}
      </span>
      {team.members.length > 0 && area.state === "free" && (
        <Keep area={area} team={team} session={session} />
      )}
    </li>
  );
}

function Actions({ area, session }: { area: TeamArea; session: Session }) {
  const { busy } = useStore(session.teams.store);
  const { teams, page } = session;
  const { state, mine, expired, label, kept_for, kept_for_me } = area;
  const button = (name: string, act: (area: TeamArea) => Promise<void>) => (
    <button type="button" class="small" disabled={busy} aria-label={`${name} area ${label}`} onClick={() => void act(area)}>
      {name}
    </button>
  );
  const free = state === "free" && (!kept_for || kept_for_me);
  const held = state === "claimed" && mine;
  return (
    <span class="pair">
      {free && button("Claim", teams.claim)}
      {state === "claimed" && !mine && expired && button("Take over", teams.claim)}
      {held && button("Finish", teams.finish)}
      {(held || (state === "claimed" && page.is_admin)) && button("Release", teams.release)}
      {state === "finished" && (mine || page.is_admin) && button("Open again", teams.release)}
    </span>
  );
}

function Keep({ area, team, session }: { area: TeamArea; team: Team; session: Session }) {
  const kept = team.members.find(({ name }) => name === area.kept_for);
  return (
    <label class="quiet">
      Keep for{" "}
      <select
        aria-label={`Keep area ${area.label} for`}
        value={kept?.id ?? ""}
        onChange={({ currentTarget }) =>
          void session.teams.assign(area, currentTarget.value ? Number(currentTarget.value) : null)
        }
      >
        <option value="">anybody</option>
        {team.members.map(({ id, name }) => (
          <option key={id} value={id}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

/** For admins: the picked building's answer is known. */
function Control({ session }: { session: Session }) {
  const { picked } = useStore(session.store);
  const [answer, setAnswer] = useState<Answer>("no_damage");
  if (!picked) return null;
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        void session.teams.addControl(picked.uid, answer);
      }}
    >
      <label class="field-inline">
        In truth{" "}
        <select value={answer} onChange={({ currentTarget }) => setAnswer(currentTarget.value as Answer)}>
          {Object.entries(ANSWER_NAMES)
            .filter(([name]) => name !== "unsure")
            .map(([name, text]) => (
              <option key={name} value={name}>
                {text}
              </option>
            ))}
        </select>
      </label>
      <button type="submit" class="small">
        Use as a control building
      </button>
    </form>
  );
}

function Waiting({ team, id }: { team: Team; id: string }) {
  const { for_me, to_settle_by_me } = team.looks;
  return (
    <p>
      {for_me > 0 && <a href={`/assessments/${id}/second-looks/`}>Second looks for you: {for_me}</a>}
      {for_me > 0 && <br />}
      {to_settle_by_me > 0 && <a href={`/assessments/${id}/disagreements/`}>Disagreements to settle: {to_settle_by_me}</a>}
      {to_settle_by_me > 0 && <br />}
      <a href={`/assessments/${id}/team/`}>Progress, agreement and people</a>
    </p>
  );
}
