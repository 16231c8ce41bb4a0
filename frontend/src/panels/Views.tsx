/** Before and after: the buttons, and the line of the swipe. */
import type { Session } from "../review/session";
import { useStore } from "../review/store";
import { shown, views, whyNot } from "../review/views";
import { KeyOf } from "./parts";

export function ViewButtons({ session }: { session: Session }) {
  const state = useStore(views.store);
  const why = whyNot(state);
  const said = why ?? (shown(state) === state.mode ? null : "The swipe rests while you draw.");
  return (
    <div
      class="views"
      role="group"
      aria-label="Before and after"
      data-mode={shown(state)}
      onPointerEnter={views.want}
      onFocusIn={views.want}
    >
      <ModeButton name="After" on={state.mode === "one" && !state.kept} off={why} onClick={views.one} />
      <ModeButton name="Swipe" on={state.mode === "swipe"} off={why} onClick={views.swipe} />
      <ModeButton name="Side by side" on={state.mode === "side"} off={why} onClick={views.sideBySide} />
      <ModeButton name="Before" on={state.kept} off={why} onClick={views.keepBefore} />
      <button
        type="button"
        class="hold"
        name="blink"
        disabled={why !== null}
        aria-pressed={state.blinking}
        aria-describedby="views-why"
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId);
          views.blink(true);
        }}
        onPointerUp={() => views.blink(false)}
        onPointerCancel={() => views.blink(false)}
        onContextMenu={(event) => event.preventDefault()} // of a long press
        onKeyDown={(event) => {
          if (event.key !== " " && event.key !== "Enter") return;
          event.preventDefault();
          views.blink(true);
        }}
        onKeyUp={() => views.blink(false)}
        onBlur={() => views.blink(false)}
      >
        Hold: before <KeyOf session={session} name="blink" />
      </button>
      <span id="views-why" class="quiet">
        {said}
      </span>
    </div>
  );
}

function ModeButton(props: { name: string; on: boolean; off: string | null; onClick: () => void }) {
  const { name, on, off, onClick } = props;
  return (
    <button
      type="button"
      aria-pressed={off === null && on}
      disabled={off !== null}
      aria-describedby="views-why"
      onClick={onClick}
    >
      {name}
    </button>
  );
}

const STEP = 2; // percent of the map's width for an arrow key
const LEAP = 10; // for page up and down

/** Over the map: which image is which, and the line between them. */
export function ViewMarks() {
  const state = useStore(views.store);
  const mode = shown(state);
  if (state.blinking) {
    return <span class="view-tag at-middle">{state.loaded ? "Before" : "Before: loading…"}</span>;
  }
  if (mode === "one") return null;
  return (
    <>
      <span class="view-tag at-left">Before</span>
      <span class="view-tag at-right">After</span>
      {mode === "swipe" ? <SwipeLine split={state.split} /> : <div class="side-line" />}
    </>
  );
}

function SwipeLine({ split }: { split: number }) {
  const onKeyDown = (event: KeyboardEvent): void => {
    const to = moved(event.key, split);
    if (to === null) return;
    event.preventDefault();
    event.stopPropagation(); // arrow keys mean other things elsewhere on the page
    views.moveSplit(to);
  };
  const onPointerMove = (event: PointerEvent): void => {
    const handle = event.currentTarget as HTMLElement;
    const stage = handle.closest(".stage");
    if (!stage || !handle.hasPointerCapture(event.pointerId)) return;
    const { left, width } = stage.getBoundingClientRect();
    views.moveSplit(((event.clientX - left) / width) * 100);
  };
  return (
    <div class="swipe-line" style={{ left: `${split}%` }}>
      <div
        role="slider"
        tabIndex={0}
        class="swipe-handle"
        aria-label="Line between before and after"
        aria-orientation="horizontal"
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.round(split)}
        aria-valuetext={`${Math.round(split)} % before`}
        onKeyDown={onKeyDown}
        onPointerDown={(event) => event.currentTarget.setPointerCapture(event.pointerId)}
        onPointerMove={onPointerMove}
      />
    </div>
  );
}

/** Where a key moves the line to, in percent; null if it is none of the slider's. */
function moved(key: string, split: number): number | null {
  switch (key) {
    case "ArrowLeft":
    case "ArrowDown":
      return split - STEP;
    case "ArrowRight":
    case "ArrowUp":
      return split + STEP;
    case "PageDown":
      return split - LEAP;
    case "PageUp":
      return split + LEAP;
    case "Home":
      return 0;
    case "End":
      return 100;
    default:
      return null;
  }
}
