/** How the images are looked at: bands, brightness, contrast, opacity. */
import { useEffect, useRef, useState } from "preact/hooks";

import { sceneFacts, type SceneFacts } from "../api/imagery";
import { Refused } from "../api/client";
import { falseColour, isPlain, type Look, type Looks } from "../review/looks";
import type { Session } from "../review/session";
import { useStore } from "../review/store";

interface Image {
  readonly name: string;
  readonly scene: string;
  readonly looks: Looks;
}

export function Imagery({ session, images }: { session: Session; images: readonly Image[] }) {
  const [wanted, setOpen] = useState(false);
  const { table } = useStore(session.store);
  const open = wanted && !table; // it would lie over the table, and change nothing that is seen
  const [place, setPlace] = useState(0);
  const button = useRef<HTMLButtonElement>(null);
  const image = images[place];
  const close = (event: KeyboardEvent): void => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    setOpen(false);
    button.current?.focus();
  };
  return (
    <div class="imagery">
      <button ref={button} type="button" name="imagery" aria-expanded={open} onClick={() => setOpen(!open)}>
        Imagery
      </button>
      {open && image && (
        <div class="card popover" role="group" aria-label="How the images are shown" onKeyDown={close}>
          {images.length > 1 && (
            <div class="pair" role="group" aria-label="Which image">
              {images.map(({ name }, index) => (
                <button key={name} type="button" class="small" aria-pressed={index === place} onClick={() => setPlace(index)}>
                  {name}
                </button>
              ))}
            </div>
          )}
          <ImageLook key={image.scene} image={image} />
        </div>
      )}
    </div>
  );
}

function ImageLook({ image: { name, scene, looks } }: { image: Image }) {
  const look = useStore(looks.store);
  const [facts, setFacts] = useState<SceneFacts | null>(null);
  const [trouble, setTrouble] = useState("");
  useEffect(() => {
    sceneFacts(scene).then(setFacts, (error: unknown) => {
      setTrouble(error instanceof Refused ? error.message : "What its bands are could not be asked.");
    });
  }, [scene]);
  return (
    <div data-image={name.toLowerCase()}>
      {facts && <Bands facts={facts} look={look} looks={looks} />}
      {trouble && <p class="notice bad">{trouble}</p>}
      <Slider name="brightness" title="Brightness" least={-100} value={look.brightness} set={(brightness) => looks.change({ brightness })} />
      <Slider name="contrast" title="Contrast" least={-100} value={look.contrast} set={(contrast) => looks.change({ contrast })} />
      <Slider name="imagery-opacity" title="Opacity" least={0} value={look.opacity} set={(opacity) => looks.change({ opacity })} />
      <button type="button" class="small" name="reset" disabled={isPlain(look)} onClick={looks.reset}>
        Reset
      </button>
    </div>
  );
}

interface Range {
  name: string;
  title: string;
  least: number;
  value: number;
  set(value: number): void;
}

function Slider({ name, title, least, value, set }: Range) {
  return (
    <label class="slider">
      <span>
        {title} <output>{least < 0 && value > 0 ? `+${value}` : value} %</output>
      </span>
      <input
        type="range"
        name={name}
        min={least}
        max={100}
        step={5}
        value={value}
        onInput={(event) => set(event.currentTarget.valueAsNumber)}
      />
    </label>
  );
}

const PLAIN = "plain";
const INFRARED = "infrared";
const THREE = "three";

/** Which bands are seen: as always, near infrared where it is known, one alone, or three by number. */
function Bands({ facts, look, looks }: { facts: SceneFacts; look: Look; looks: Looks }) {
  const infrared = falseColour(facts);
  const chosen = choiceOf(look, infrared);
  const [mixing, setMixing] = useState(chosen === THREE);
  const choice = mixing ? THREE : chosen;
  const choose = (value: string): void => {
    setMixing(value === THREE);
    if (value === PLAIN) looks.change({ bands: null });
    else if (value === INFRARED) looks.change({ bands: infrared });
    else if (value === THREE) looks.change({ bands: look.bands?.length === 3 ? look.bands : facts.shown });
    else looks.change({ bands: [Number(value)] });
  };
  const grey = new Set(facts.shown).size === 1;
  const unknown = facts.bands.every((name) => name === "");
  return (
    <>
      <label class="field">
        Bands
        <select name="bands" value={choice} onChange={(event) => choose(event.currentTarget.value)}>
          <option value={PLAIN}>{grey ? "Grey" : "True colour"}</option>
          {infrared && <option value={INFRARED}>Near infrared: plants are red</option>}
          {facts.bands.length > 1 &&
            facts.bands.map((_, index) => (
              <option key={index} value={String(index + 1)}>
                {named(facts, index + 1)}, alone
              </option>
            ))}
          {facts.bands.length > 1 && <option value={THREE}>Choose three…</option>}
        </select>
      </label>
      {choice === THREE && <Three facts={facts} look={look} looks={looks} />}
      {unknown && facts.bands.length > 1 && (
        <p class="quiet">
          The file does not say what its bands are; {facts.shown.join(", ")} are taken to be red, green and blue.
          {infrared === null && " Which is near infrared, if any, is not known."}
        </p>
      )}
      {!unknown && infrared === null && facts.bands.length > 1 && (
        <p class="quiet">No band of this image is known to be near infrared.</p>
      )}
    </>
  );
}

function Three({ facts, look, looks }: { facts: SceneFacts; look: Look; looks: Looks }) {
  const bands = look.bands?.length === 3 ? look.bands : facts.shown;
  return (
    <div class="three">
      {["Red", "Green", "Blue"].map((colour, place) => (
        <label key={colour}>
          {colour}
          <select
            name={`band-${colour.toLowerCase()}`}
            value={String(bands[place])}
            onChange={(event) => {
              const value = Number(event.currentTarget.value);
              looks.change({ bands: bands.map((band, index) => (index === place ? value : band)) });
            }}
          >
            {facts.bands.map((_, index) => (
              <option key={index} value={String(index + 1)}>
                {named(facts, index + 1)}
              </option>
            ))}
          </select>
        </label>
      ))}
    </div>
  );
}

const NAMES: Readonly<Record<string, string>> = { nir: "near infrared" };

function named({ bands, near_infrared }: SceneFacts, number: number): string {
  const said = number === near_infrared ? "nir" : (bands[number - 1] ?? "");
  return said ? `Band ${number}, ${NAMES[said] ?? said}` : `Band ${number}`;
}

function choiceOf({ bands }: Look, infrared: readonly number[] | null): string {
  if (bands === null) return PLAIN;
  if (infrared && bands.join() === infrared.join()) return INFRARED;
  return bands.length === 1 ? String(bands[0]) : THREE;
}
