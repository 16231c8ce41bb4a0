/** Of answers: what is not saved yet, and what was refused. */
import type { Answers } from "../review/answers";
import { count } from "../geo/format";
import { useStore } from "../review/store";
import { Unsaved } from "./Saving";

/** `held`: the answer that can still be taken back, and waits for nothing else. */
export function Kept({ answers, held }: { answers: Answers; held?: string | undefined }) {
  const keeping = useStore(answers.store);
  const waiting = keeping.waiting.filter(({ draft }) => draft.id !== held);
  const reasons = new Map<string, number>();
  for (const { message } of keeping.refusals) reasons.set(message, (reasons.get(message) ?? 0) + 1);
  return (
    <>
      <div class="saving">
        <Unsaved state={{ ...keeping, waiting, unsettled: 0 }} session={answers} of="answer" />
      </div>
      {keeping.cannotKeep && <p class="notice bad" role="alert">{keeping.cannotKeep}</p>}
      {reasons.size > 0 && (
        <div class="notice bad" role="alert" data-refused={keeping.refusals.length}>
          {[...reasons].map(([message, times]) => (
            <p key={message}>
              {count(times, "answer", "answers")} not taken: {message}
            </p>
          ))}
          <button type="button" class="small" onClick={() => answers.dismissRefusals()}>
            I have read it
          </button>
        </div>
      )}
    </>
  );
}
