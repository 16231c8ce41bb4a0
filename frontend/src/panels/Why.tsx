/** Why the model gave a building its grade: drawn by a worker when somebody asks. */
import { useEffect, useState } from "preact/hooks";

import * as api from "../api/assessments";
import { Refused } from "../api/client";
import type { Building, Explanation } from "../api/types";
import { GRADE_NAMES } from "../geo/grades";

const ASK_AGAIN_MS = 1000;

interface WhyProps {
  assessment: string;
  building: Building;
}

export function Why({ assessment, building: { uid } }: WhyProps) {
  const [found, setFound] = useState<Explanation | null>(null);
  const [problem, setProblem] = useState("");
  const waiting = found?.state === "waiting";

  const take = (answer: Promise<Explanation>): Promise<void> =>
    answer.then(
      (now) => {
        setProblem("");
        setFound({ ...now });
      },
      (error: unknown) => {
        if (!(error instanceof Refused)) throw error;
        setProblem(error.message);
      },
    );

  // An effect per answer: it ends with the panel, so that no building is asked for in vain.
  useEffect(() => {
    if (!waiting) return;
    const timer = setTimeout(() => void take(api.explanation(assessment, uid)), ASK_AGAIN_MS);
    return () => clearTimeout(timer);
  }, [found, problem]);

  return (
    <section class="why" aria-busy={waiting}>
      {(!found || found.state === "failed") && (
        <button type="button" onClick={() => void take(api.askForExplanation(assessment, uid))}>
          Why this grade?
        </button>
      )}
      {waiting && <p class="quiet">A worker is looking at what the grade hangs on…</p>}
      {found?.state === "failed" && <p class="notice bad">{found.failure_message}</p>}
      {problem && <p class="notice bad">{problem}</p>}
      {found?.state === "ready" && <Picture found={found} />}
    </section>
  );
}

function Picture({ found }: { found: Explanation }) {
  if (!found.picture || !found.said) return null;
  return (
    <>
      <h3>What the model’s grade hangs on</h3>
      <a href={found.picture} target="_blank" rel="noopener" title="Open the picture at full size">
        <img
          src={found.picture}
          alt={`The image around the building, and where it speaks for “${GRADE_NAMES[found.said.grade]}”`}
        />
      </a>
      <p class="quiet">
        Red: what speaks for “{GRADE_NAMES[found.said.grade].toLowerCase()}”. Blue: what speaks
        against it. Judged in this cut-out alone, so the numbers may differ a little.
      </p>
    </>
  );
}
