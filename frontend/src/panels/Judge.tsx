/** One building or square of a sample at a time: its picture, and what it may be. */
import { useEffect, useState } from "preact/hooks";

import { picture, type ItemAnswer, type Mark, type Thing } from "../api/quality";
import { ALL_GRADES, GRADE_KEYS, GRADE_NAMES, GRADES, type Grade } from "../geo/grades";
import type { KeySwitch } from "../review/desk";
import type { Judge as Judging } from "../review/judging";
import { useStore } from "../review/store";
import { Kept } from "./Kept";
import { GradeMark, GradeName, Key, SingleKeys, useKeySwitch } from "./parts";

export interface JudgePage {
  sample: string;
  back: string;
  has_before: boolean;
  side_m: number;
}

const STEP = 0.02; // of the picture: an arrow key
const LEAP = 0.1; // with Shift

export interface Sight {
  wide: boolean;
  before: boolean;
  bare: boolean;
}

export function Judge({ judge, page, keys }: { judge: Judging; page: JudgePage; keys: KeySwitch }) {
  const { things, left, finished, waiting, said, trouble } = useStore(judge.store);
  const unsaved = useStore(judge.answers.store).waiting.length;
  const [sight, setSight] = useState<Sight>({ wide: false, before: false, bare: false });
  const [single, choose] = useKeySwitch(keys);
  const thing = things[0];
  useKeys(judge, thing, single, setSight);
  useEffect(() => {
    if (thing) setSight({ wide: false, before: false, bare: false });
  }, [thing?.id]);
  useEffect(() => {
    for (const one of things.slice(1)) new Image().src = picture(one, "after", false);
  }, [things]);

  return (
    <>
      <p class="quiet" data-left={left ?? ""} data-unsaved={unsaved}>
        {left === null ? "Loading…" : `${left} left to judge, others' included.`}
      </p>
      <Kept answers={judge.answers} />
      {trouble && <p class="notice bad" role="alert">{trouble}</p>}
      <p class="quiet said" role="status" aria-live="polite">{said}</p>
      {finished ? (
        <div class="empty" data-finished>
          <h2>Everything is judged</h2>
          <p>The answers stay as they are. They changed no building: they are a measurement.</p>
          <a class="button primary" href={page.back}>See what is known</a>
        </div>
      ) : waiting ? (
        <div class="empty">
          <p>What is left lies before others just now. It comes to you if they do not answer within ten minutes.</p>
          <a class="button" href={page.back}>Back</a>
        </div>
      ) : thing ? (
        <div class="judging" data-thing={thing.id} data-kind={thing.kind}>
          <Picture judge={judge} thing={thing} sight={sight} />
          <section class="card" aria-label="Answer">
            {thing.kind === "square" ? (
              <SquareAnswers judge={judge} side_m={page.side_m} />
            ) : (
              <BuildingAnswers judge={judge} />
            )}
            <div class="answers">
              {thing.kind === "building" && (
                <button type="button" aria-pressed={sight.wide} onClick={() => setSight({ ...sight, wide: !sight.wide })}>
                  Wider view <Key>W</Key>
                </button>
              )}
              {page.has_before && (
                <button type="button" aria-pressed={sight.before} onClick={() => setSight({ ...sight, before: !sight.before })}>
                  Image before <Key>B</Key>
                </button>
              )}
              <button type="button" aria-pressed={sight.bare} onClick={() => setSight({ ...sight, bare: !sight.bare })}>
                Hide outlines <Key>O</Key>
              </button>
              <button type="button" onClick={() => judge.back()}>
                Back to the one before <Key>⌫</Key>
              </button>
            </div>
            <SingleKeys on={single} choose={choose} />
          </section>
        </div>
      ) : (
        <p class="notice busy">Loading the next…</p>
      )}
    </>
  );
}

function BuildingAnswers({ judge }: { judge: Judging }) {
  const other: [ItemAnswer, string, string][] = [
    ["no_building", "No building", "X"],
    ["cannot_judge", "Cannot be judged", "U"],
  ];
  return (
    <>
      <h2>What is it?</h2>
      <div class="answers">
        {GRADES.map((grade) => (
          <button key={grade} type="button" data-answer={grade} onClick={() => judge.answer(grade)}>
            <GradeName grade={grade} /> <Key>{GRADE_KEYS[grade]}</Key>
          </button>
        ))}
        {other.map(([answer, name, key]) => (
          <button key={answer} type="button" data-answer={answer} onClick={() => judge.answer(answer)}>
            {name} <Key>{key}</Key>
          </button>
        ))}
      </div>
      <p class="how">Judge the building in the outline by the image alone. What the model said of it is not shown.</p>
    </>
  );
}

function SquareAnswers({ judge, side_m }: { judge: Judging; side_m: number }) {
  const { marks } = useStore(judge.store);
  return (
    <>
      <h2>What was missed?</h2>
      <p class="how">
        The dashed square is {side_m} m wide. Mark each building that has no outline and whose middle lies in it:
        click on it, or move the cross by the arrow keys, then choose its grade.
      </p>
      <div class="answers">
        {ALL_GRADES.map((grade) => (
          <button key={grade} type="button" data-mark={grade} onClick={() => judge.mark(grade)}>
            <GradeMark grade={grade} /> {markName(grade)} <Key>{GRADE_KEYS[grade]}</Key>
          </button>
        ))}
      </div>
      {marks.length > 0 && (
        <ol class="marks" aria-label="Marked">
          {marks.map((mark, index) => (
            <li key={index}>
              <GradeMark grade={mark.grade} /> {markName(mark.grade)}
              <button type="button" class="small" onClick={() => judge.unmark(index)} aria-label={`Remove mark ${index + 1}`}>
                Remove
              </button>
            </li>
          ))}
        </ol>
      )}
      <div class="answers">
        <button type="button" class="primary" data-answer="judged" onClick={() => judge.allMarked()}>
          {marks.length ? `These ${marks.length}, no more` : "None was missed"} <Key>Enter</Key>
        </button>
        <button type="button" data-answer="cannot_judge" onClick={() => judge.cannotJudge()}>
          Cannot be judged <Key>U</Key>
        </button>
      </div>
    </>
  );
}

const markName = (grade: Grade): string =>
  grade === "unclassified" ? "Building, damage cannot be told" : GRADE_NAMES[grade];

function Picture({ judge, thing, sight }: { judge: Judging; thing: Thing; sight: Sight }) {
  const { marks, cross } = useStore(judge.store);
  const square = thing.kind === "square";
  const before = sight.before && thing.has_before;
  const rings = sight.wide && !square ? thing.wide : thing.rings;
  const aim = (event: MouseEvent): void => {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    judge.move((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  };
  const about = square
    ? `A square of the ground with ${thing.rings.length} outlined buildings`
    : "The building to judge, outlined";
  return (
    <div class={`sight${square ? " square-shown" : ""}${sight.bare ? " bare" : ""}`} onClick={square ? aim : undefined}>
      <img src={picture(thing, before ? "before" : "after", sight.wide && !square)} alt={about} />
      <svg viewBox="0 0 1 1" aria-hidden="true">
        {rings.map((ring, index) => (
          <g key={index}>
            <polygon class="under" points={ring.map((corner) => corner.join(",")).join(" ")} />
            <polygon points={ring.map((corner) => corner.join(",")).join(" ")} />
          </g>
        ))}
        {square && (
          <rect class="border" x={thing.frame} y={thing.frame} width={1 - 2 * thing.frame} height={1 - 2 * thing.frame} />
        )}
        {square && marks.map((mark, index) => <Marked key={index} mark={mark} />)}
        {square && ["cross under", "cross"].map((name) => (
          <path key={name} class={name} d={crossAt(cross.x, cross.y)} />
        ))}
      </svg>
      {before && <span class="phase">before the event</span>}
    </div>
  );
}

const crossAt = (x: number, y: number): string =>
  `M${x - 0.03},${y}H${x - 0.008}M${x + 0.008},${y}H${x + 0.03}M${x},${y - 0.03}V${y - 0.008}M${x},${y + 0.008}V${y + 0.03}`;

function Marked({ mark }: { mark: Mark }) {
  return (
    <g class="mark">
      <circle cx={mark.x} cy={mark.y} r={0.018} />
      <text x={mark.x} y={mark.y + 0.01}>{GRADE_KEYS[mark.grade]}</text>
    </g>
  );
}

/** One hand on the keyboard; held keys show the image before, or the ground without outlines. */
function useKeys(
  judge: Judging,
  thing: Thing | undefined,
  single: boolean,
  setSight: (change: (sight: Sight) => Sight) => void,
): void {
  useEffect(() => {
    const press = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey || isField(event.target)) return;
      const onButton = event.target instanceof Element && event.target.closest("button, a");
      if (onButton && (event.key === "Enter" || event.key === " ")) return;
      if (!thing || (!single && event.key.length === 1)) return;
      if (pressed(judge, thing, event, setSight)) event.preventDefault();
    };
    const release = ({ key }: KeyboardEvent): void => {
      if (key.toLowerCase() === "b") setSight((sight) => ({ ...sight, before: false }));
      if (key.toLowerCase() === "o") setSight((sight) => ({ ...sight, bare: false }));
    };
    addEventListener("keydown", press);
    addEventListener("keyup", release);
    return () => {
      removeEventListener("keydown", press);
      removeEventListener("keyup", release);
    };
  }, [judge, thing, single]);
}

const ARROWS: Record<string, [number, number]> = {
  ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
};

/** Whether the key meant something. */
function pressed(
  judge: Judging,
  thing: Thing,
  event: KeyboardEvent,
  setSight: (change: (sight: Sight) => Sight) => void,
): boolean {
  const key = event.key.toLowerCase();
  const square = thing.kind === "square";
  const grade = ALL_GRADES.find((one) => GRADE_KEYS[one] === key);
  const arrow = ARROWS[event.key];
  if (event.repeat && !arrow) return true; // a key held down is one answer
  if (square && arrow) {
    const { x, y } = judge.store.now.cross;
    const step = event.shiftKey ? LEAP : STEP;
    judge.move(x + arrow[0] * step, y + arrow[1] * step);
  } else if (square && grade) judge.mark(grade);
  else if (!square && grade && grade !== "unclassified") judge.answer(grade);
  else if (square && key === "enter") judge.allMarked();
  else if (square && key === "delete") judge.unmark(judge.store.now.marks.length - 1);
  else if (!square && key === "x") judge.answer("no_building");
  else if (key === "u") judge.cannotJudge();
  else if (key === "w") setSight((sight) => ({ ...sight, wide: !sight.wide }));
  else if (key === "b") setSight((sight) => ({ ...sight, before: true }));
  else if (key === "o") setSight((sight) => ({ ...sight, bare: true }));
  else if (key === "backspace") judge.back();
  else return false;
  return true;
}

const isField = (target: EventTarget | null): boolean =>
  target instanceof HTMLInputElement && target.type !== "checkbox";
