/** Shards that cannot be done: which, why, and a button that has one done anew. */
import { useEffect, useState } from "preact/hooks";

import * as api from "../api/assessments";
import { Refused } from "../api/client";
import type { Assessment, Shard } from "../api/types";
import type { Session } from "../review/session";

export function FailedShards({ progress, session }: { progress: Assessment; session: Session }) {
  const { id, shards_failed, shards_total } = progress;
  const [shards, setShards] = useState<readonly Shard[]>([]);
  const [problem, setProblem] = useState("");

  useEffect(() => {
    if (shards_failed === 0) return setShards([]);
    let shown = true;
    api.failedShards(id).then(
      (found) => {
        if (!shown) return;
        setShards(found);
        setProblem("");
      },
      (error: unknown) => {
        if (!(error instanceof Refused)) throw error;
        if (shown) setProblem(error.message);
      },
    );
    return () => {
      shown = false;
    };
  }, [id, shards_failed]);

  if (shards_failed === 0) return null;
  return (
    <section class="failed-shards" aria-label="Shards that failed">
      <h3>
        {shards_failed} of {shards_total} shards failed
      </h3>
      {problem && <p class="notice bad">{problem}</p>}
      <ul class="rows">
        {shards.map((shard) => (
          <li key={shard.index} data-shard={shard.index}>
            <p>
              Shard {shard.index + 1}: {shard.failure_message}
            </p>
            {session.page.can_review && (
              <button type="button" class="small" onClick={() => void session.retryShard(shard.index)}>
                Retry this shard
              </button>
            )}
            {shard.log && (
              <details class="fold">
                <summary>Log</summary>
                <pre class="log">{shard.log}</pre>
              </details>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}
