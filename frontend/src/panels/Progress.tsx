/** An assessment on its way, or how it ended. */
import type { Assessment } from "../api/types";
import { count, duration } from "../geo/format";
import type { Session } from "../review/session";
import { useStore } from "../review/store";
import { FailedShards } from "./FailedShards";
import { Images } from "./Images";

const STATE_NAMES: Record<Assessment["state"], string> = {
  waiting: "Waiting for a worker",
  planning: "Planning",
  running: "Detecting buildings",
  merging: "Joining the parts",
  done: "Done",
  failed: "Failed",
  cancelled: "Cancelled",
};

export function Progress({ session }: { session: Session }) {
  const { progress, connected } = useStore(session.store);
  if (!progress) return connected ? <p class="quiet busy">Loading this analysis…</p> : <Unreached />;
  if (progress.state === "failed") return <Failed progress={progress} session={session} />;
  if (progress.state === "cancelled") {
    return (
      <div class="empty">
        <h2>Cancelled</h2>
        <p>Nothing of this assessment was kept.</p>
        <StartAnother session={session} />
      </div>
    );
  }
  return <Running progress={progress} session={session} />;
}

/** Nothing came yet, and the line is down: to wait in silence would look like work. */
function Unreached() {
  return (
    <div class="empty bad" role="alert">
      <h2>The server does not answer</h2>
      <p>What this analysis found cannot be shown now. It is asked for again every few seconds.</p>
      <button type="button" onClick={() => location.reload()}>
        Load the page again
      </button>
    </div>
  );
}

function StartAnother({ session }: { session: Session }) {
  return (
    <a class="button" href={`/scenes/${session.page.scene}/`}>
      Start another from the image’s page
    </a>
  );
}

function Failed({ progress, session }: { progress: Assessment; session: Session }) {
  const { shards_total, shards_done, shards_failed } = progress;
  const onlyJoining = shards_total > 0 && shards_done === shards_total;
  const some = shards_failed > 0 || onlyJoining;
  return (
    <>
      <div class="empty bad" role="alert">
        <h2>The assessment failed</h2>
        <p>{progress.failure_message || "The server gave no reason."}</p>
        <p class="quiet">
          Code: <code>{progress.failure_code}</code>. {some ? "Retry what failed" : "Start another"}; if it fails
          again, show this code to an admin.
        </p>
        {!some && <StartAnother session={session} />}
      </div>
      {onlyJoining && (
        <section aria-label="Joining the parts failed">
          <h3>Joining the parts failed</h3>
          <p>
            All {count(shards_total, "shard is", "shards are")} done, and what was found is kept.
          </p>
          {session.page.can_review && (
            <button type="button" onClick={() => void session.retryMerge()}>
              Join the parts again
            </button>
          )}
        </section>
      )}
      <FailedShards progress={progress} session={session} />
    </>
  );
}

function Running({ progress, session }: { progress: Assessment; session: Session }) {
  const { tiles_total, tiles_done, shards_total, shards_done, seconds_left } = progress;
  const known = tiles_total > 0;
  return (
    <section class="progress" data-state={progress.state}>
      <p class="unseen" role="status">
        {STATE_NAMES[progress.state]}
      </p>
      <h2>
        {STATE_NAMES[progress.state]}
        {progress.urgent && <span class="urgent"> Urgent</span>}
      </h2>
      <progress {...(known ? { value: tiles_done, max: tiles_total } : {})} aria-label="Tiles read" />
      <dl class="facts">
        <dt>Tiles</dt>
        <dd>{known ? `${tiles_done} of ${tiles_total}` : "not yet planned"}</dd>
        <dt>Shards</dt>
        <dd>{known ? `${shards_done} of ${shards_total}` : "not yet planned"}</dd>
        <dt>Found so far</dt>
        <dd>{count(progress.footprints_found, "footprint", "footprints")}</dd>
        <dt>Time left</dt>
        <dd>{seconds_left === null ? "not known yet" : `about ${duration(seconds_left)}`}</dd>
      </dl>
      {progress.waiting_because && <p class="notice bad">{progress.waiting_because}</p>}
      <FailedShards progress={progress} session={session} />
      <p class="quiet">You can leave this page: it goes on without you.</p>
      {session.page.can_review && (
        <button type="button" onClick={() => void session.cancel()}>
          Cancel this assessment
        </button>
      )}
      {session.page.is_admin && (
        <button type="button" onClick={() => void session.setUrgent(!progress.urgent)}>
          {progress.urgent ? "No longer urgent" : "Make urgent"}
        </button>
      )}
      <Images progress={progress} />
    </section>
  );
}
