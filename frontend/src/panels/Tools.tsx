/** Above the map: what can be done besides deciding on the picked building. */
import type { Session } from "../review/session";
import { useStore } from "../review/store";
import { Key } from "./parts";

export function Tools({ session }: { session: Session }) {
  const { drawing, progress } = useStore(session.store);
  if (!session.page.can_review || progress?.state !== "done" || drawing) return null;
  return (
    <div class="toolbar" role="toolbar" aria-label="Review tools">
      <button type="button" onClick={() => void session.next()}>
        Next building <Key>N</Key>
      </button>
      <button type="button" onClick={() => session.add()}>
        Add a building <Key>A</Key>
      </button>
      <button type="button" onClick={() => session.markArea()}>
        Mark a reviewed area <Key>M</Key>
      </button>
      <button type="button" onClick={() => session.notAssessable()}>
        Not assessable
      </button>
      <button type="button" onClick={() => session.shift()}>
        Move outlines
      </button>
      <button type="button" onClick={() => void session.undo()}>
        Undo <Key>Ctrl Z</Key>
      </button>
    </div>
  );
}
