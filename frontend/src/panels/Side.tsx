/** The column beside the map. */
import { area } from "../geo/format";
import { areaM2, boundsOf } from "../geo/outline";
import { GRADE_NAMES } from "../geo/grades";
import { AREA_REASONS } from "../review/areas";
import { REVIEW_NAMES } from "../review/decisions";
import type { Session } from "../review/session";
import { useStore } from "../review/store";
import type { Review } from "../api/types";
import { BuildingPanel } from "./BuildingPanel";
import { DrawingCard } from "./DrawingCard";
import { Images } from "./Images";
import { ActionButton, GradeMark, SingleKeys } from "./parts";
import { Progress } from "./Progress";
import { QueuePanel } from "./Queue";
import { Teams } from "./Teams";

export function Side({ session }: { session: Session }) {
  const { progress, drawing, saving, counts } = useStore(session.store);
  if (progress?.state !== "done") return <Progress session={session} />;
  if (drawing) return <DrawingCard drawing={drawing} saving={saving} session={session} />;
  return (
    <>
      <BuildingPanel session={session} />
      {counts?.length !== 0 && <QueuePanel session={session} />}
      <Areas session={session} />
      <Listed session={session} />
      {session.page.can_review && <Teams session={session} />}
      <Images progress={progress} />
      {session.page.can_review && <Habits session={session} />}
    </>
  );
}

function Areas({ session }: { session: Session }) {
  const { areas } = useStore(session.store);
  return (
    <details class="fold" data-areas={areas.length}>
      <summary>Reviewed and not assessable areas ({areas.length})</summary>
      {areas.length === 0 ? (
        <p class="quiet">
          None yet. Only decisions inside such areas can teach the model: mark one when you have looked at
          everything in it.
        </p>
      ) : (
        <ul class="rows">
          {areas.map((one) => (
            <li key={one.id}>
              <button type="button" class="link" onClick={() => session.goTo(boundsOf(one.outline))}>
                {area(areaM2(one.outline))}
              </button>
              {one.because && <span>Not assessable: {AREA_REASONS[one.because].toLowerCase()}</span>}
              <span class="quiet">by {one.user ?? "a former user"}</span>
              {session.page.can_review && (
                <button type="button" class="small" onClick={() => void session.removeArea(one.id)}>
                  Remove mark
                </button>
              )}
            </li>
          ))}
        </ul>
      )}
    </details>
  );
}

function Listed({ session }: { session: Session }) {
  const { listed, listGoesOn, view, picked } = useStore(session.store);
  const shown = (listed ?? []).filter(
    ({ uid, review, score }) =>
      !session.isAway(uid) && (review !== "unreviewed" || (score ?? 1) >= view.minScore),
  );
  return (
    <details class="fold" data-listed={listed === null ? "" : shown.length}>
      <summary>Buildings in view ({listed === null ? "…" : `${shown.length}${listGoesOn ? "+" : ""}`})</summary>
      {shown.length === 0 && <p class="quiet">None here. Move the map, or lower the score.</p>}
      <ul class="rows">
        {shown.map((one) => (
          <li key={one.uid}>
            <button
              type="button"
              class="row"
              data-uid={one.uid}
              aria-current={picked?.uid === one.uid}
              onClick={() => void session.pick(one.uid)}
            >
              <GradeMark grade={one.grade} />
              <span>{GRADE_NAMES[one.grade]}</span>
              <span class="quiet">{REVIEW_NAMES[one.review as Review]}</span>
            </button>
          </li>
        ))}
      </ul>
      {listGoesOn && (
        <button type="button" onClick={() => void session.listMore()}>
          Show more
        </button>
      )}
    </details>
  );
}

function Habits({ session }: { session: Session }) {
  const { keysOn, advance } = useStore(session.store);
  return (
    <details class="fold">
      <summary>Keys and habits</summary>
      <SingleKeys on={keysOn} choose={(on) => session.setKeys(on)} />
      <label class="check">
        <input
          type="checkbox"
          name="advance"
          checked={advance}
          onChange={(event) => session.setAdvance(event.currentTarget.checked)}
        />
        After a decision, go to the next building
      </label>
      <ActionButton session={session} name="help">
        All keys, and change them
      </ActionButton>
    </details>
  );
}
