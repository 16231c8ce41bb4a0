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
      <button type="button" title="Ctrl Z" onClick={() => session.undo()}>
        Undo
      </button>
      <button type="button" title="Ctrl Shift Z" onClick={() => session.redo()}>
        Redo
      </button>
    </div>
  );
}
