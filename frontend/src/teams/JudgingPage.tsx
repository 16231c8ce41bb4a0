/** One building with its outline and nothing else, and a button for each answer. */
import { useEffect, useState } from "preact/hooks";

import { picture, type Answer } from "../api/teams";
import { GRADE_KEYS, GRADES, type Grade } from "../geo/grades";
import { Kept } from "../panels/Kept";
import { GradeMark, Key, SingleKeys, useKeySwitch } from "../panels/parts";
import type { KeySwitch } from "../review/desk";
import { useStore } from "../review/store";
import { ANSWER_NAMES } from "./answers";
import type { Item, Judge } from "./judging";

const WIDER = 3; // times as much ground, as the server draws it

const ANSWER_KEYS: Record<Answer, string> = {
  no_damage: GRADE_KEYS.no_damage,
  minor_damage: GRADE_KEYS.minor_damage,
  major_damage: GRADE_KEYS.major_damage,
  destroyed: GRADE_KEYS.destroyed,
  no_building: "x",
  unsure: "u",
};

const isGrade = (answer: Answer): answer is Exclude<Answer, "no_building" | "unsure"> =>
  (GRADES as readonly string[]).includes(answer);

interface PageProps {
  judge: Judge;
  settles: boolean;
  answers: readonly Answer[];
  keys: KeySwitch;
}

export function JudgingPage({ judge, settles, answers, keys }: PageProps) {
  const { items, left, asking, trouble, last, message } = useStore(judge.store);
  const { waiting } = useStore(judge.answers.store);
  const [wide, setWide] = useState(false);
  const [bare, setBare] = useState(false);
  const [keysOn, chooseKeys] = useKeySwitch(keys);
  const item = items[0];
  const offered = settles ? answers : (Object.keys(ANSWER_NAMES) as Answer[]);

  useEffect(() => setWide(false), [item?.id]);
  useEffect(() => {
    const press = (event: KeyboardEvent): void => {
      const { key, ctrlKey, metaKey, altKey, target } = event;
      if (ctrlKey || metaKey) {
        if (key === "z") {
          event.preventDefault();
          void judge.takeBack();
        }
        return;
      }
      if (altKey || !keysOn || event.repeat || isTyping(target)) return;
      const said = offered.find((answer) => ANSWER_KEYS[answer] === key.toLowerCase());
      if (said) judge.judge(said);
      else if (key.toLowerCase() === "w") setWide((is) => !is);
      else if (key.toLowerCase() === "o") setBare((is) => !is);
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, [judge, keysOn, offered]);

  return (
    <div class="judging" data-item={item?.id ?? ""} data-left={left ?? ""} data-unsaved={waiting.length}>
      <Kept answers={judge.answers} held={last?.id} />
      {trouble && (
        <div class="notice bad" role="alert">
          <p>{trouble}</p>
          <button type="button" onClick={() => void judge.ask()}>
            Ask again
          </button>
        </div>
      )}
      {item ? (
        <>
          <Pictures key={item.id} item={item} wide={wide} bare={bare} />
          {settles && <Both item={item} />}
          <fieldset class="answers">
            <legend>{settles ? "What is it, then?" : "What is it?"}</legend>
            {offered.map((answer) => (
              <button type="button" key={answer} name={answer} onClick={() => judge.judge(answer)}>
                {isGrade(answer) && <GradeMark grade={answer as Grade} />}
                {ANSWER_NAMES[answer]} <Key>{ANSWER_KEYS[answer].toUpperCase()}</Key>
              </button>
            ))}
          </fieldset>
          <div class="pair">
            <button type="button" aria-pressed={wide} onClick={() => setWide(!wide)}>
              Show more around it <Key>W</Key>
            </button>
            <button type="button" aria-pressed={bare} onClick={() => setBare(!bare)}>
              Hide the outline <Key>O</Key>
            </button>
            <button type="button" disabled={!last} onClick={() => void judge.takeBack()}>
              Take back <Key>Ctrl Z</Key>
            </button>
          </div>
        </>
      ) : (
        !trouble && <Nothing asking={asking} settles={settles} />
      )}
      <p class={message?.bad ? "notice bad" : "quiet"} role="status">
        {last ? `${ANSWER_NAMES[last.answer]}. ` : message ? `${message.text} ` : ""}
        {left === null ? "" : `${left} left for you.`}
      </p>
      <SingleKeys on={keysOn} choose={chooseKeys} />
      {!settles && (
        <p class="quiet">
          Somebody else has judged these buildings; you are not shown how. Your answer changes nothing on
          the map: where the two differ, a third person decides.
        </p>
      )}
    </div>
  );
}

function Both({ item }: { item: Item }) {
  return (
    <dl class="facts both">
      <dt>First answer</dt>
      <dd>{item.first && <Named answer={item.first} />}</dd>
      <dt>Second answer</dt>
      <dd>{item.second && <Named answer={item.second} />}</dd>
    </dl>
  );
}

function Named({ answer }: { answer: Answer }) {
  return (
    <span class="grade-name">
      {isGrade(answer) && <GradeMark grade={answer as Grade} />}
      {ANSWER_NAMES[answer]}
    </span>
  );
}

function Nothing({ asking, settles }: { asking: boolean; settles: boolean }) {
  if (asking) return <p class="quiet busy">Asking for the next building</p>;
  return (
    <div class="empty" data-nothing>
      <h2>Nothing waits for you</h2>
      <p>
        {settles
          ? "No disagreement is left that you may settle. One of the two who disagree never settles it."
          : "No second look is left that you may take. What you have decided on yourself is looked at by others."}
      </p>
      <p class="quiet">This page asks again by itself.</p>
    </div>
  );
}

interface PicturesProps {
  item: Item;
  wide: boolean;
  bare: boolean;
}

function Pictures({ item, wide, bare }: PicturesProps) {
  const across = `${Math.round(item.side_m * (wide ? WIDER : 1))} m across`;
  return (
    <div class="pictures" data-pictures={item.before ? 2 : 1}>
      {item.before && <Picture key={`before ${wide}`} item={item} when="before" wide={wide} bare={bare} caption={`Before, ${across}`} />}
      <Picture key={`after ${wide}`} item={item} when="after" wide={wide} bare={bare} caption={`After, ${across}`} />
    </div>
  );
}

function Picture({ item, when, wide, bare, caption }: PicturesProps & { when: "after" | "before"; caption: string }) {
  const [state, setState] = useState<"loading" | "there" | "failed">("loading");
  const [again, setAgain] = useState(0);
  const source = picture(item.id, when, wide);
  const tryAgain = (): void => {
    setState("loading");
    setAgain(again + 1);
  };
  const rings = item.outline.map((ring) =>
    ring
      .map(([x, y]) => (wide ? [0.5 + (x - 0.5) / WIDER, 0.5 + (y - 0.5) / WIDER] : [x, y]))
      .map(([x = 0, y = 0]) => `${x * 100},${y * 100}`)
      .join(" "),
  );
  return (
    <figure data-picture={state}>
      <div class="frame">
        <img
          key={again}
          src={source}
          alt={`The building and its surroundings, seen from above, ${when} the disaster`}
          onLoad={() => setState("there")}
          onError={() => setState("failed")}
        />
        {state === "there" && !bare && (
          <svg viewBox="0 0 100 100" aria-hidden="true">
            {rings.map((points) => (
              <>
                <polygon points={points} class="casing" />
                <polygon points={points} class="outline" />
              </>
            ))}
          </svg>
        )}
        {state === "loading" && <p class="busy">Loading</p>}
        {state === "failed" && (
          <p role="alert">
            The picture could not be loaded.{" "}
            <button type="button" class="small" onClick={tryAgain}>
              Try again
            </button>
          </p>
        )}
      </div>
      <figcaption>{caption}</figcaption>
    </figure>
  );
}

const isTyping = (target: EventTarget | null): boolean =>
  target instanceof HTMLTextAreaElement ||
  target instanceof HTMLSelectElement ||
  (target instanceof HTMLInputElement && target.type !== "checkbox");
