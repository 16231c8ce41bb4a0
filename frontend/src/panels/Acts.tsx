/** What else can be said of the picked building, or done to its outline. */
import "../styles/drawing.css";

import type { Building, UnsureBecause } from "../api/types";
import { UNSURE } from "../review/decisions";
import type { Session } from "../review/session";

export function Acts({ building, session }: { building: Building; session: Session }) {
  if (building.review === "replaced") {
    return <p class="quiet">It was split or merged with others. Take that back with Undo, or open what took its place.</p>;
  }
  return (
    <div class="acts">
      <details class="unsure">
        <summary>Not sure: it cannot be judged, because of…</summary>
        <fieldset class="others">
          <legend>The grade becomes “not classified”</legend>
          {(Object.keys(UNSURE) as UnsureBecause[]).map((reason) => (
            <button type="button" key={reason} name={`unsure-${reason}`} onClick={() => session.unsure(reason)}>
              {UNSURE[reason]}
            </button>
          ))}
        </fieldset>
      </details>
      <fieldset class="others">
        <legend>Its outline</legend>
        <button type="button" onClick={() => session.square()}>
          Square it
        </button>
        <button type="button" onClick={() => session.split()}>
          Split it
        </button>
        <button type="button" onClick={() => session.merge()}>
          Merge it
        </button>
        <button type="button" aria-pressed={building.flagged} onClick={() => session.flag()}>
          {building.flagged ? "⚑ Flagged" : "⚐ Flag it"}
        </button>
      </fieldset>
      {building.unsure_because && (
        <p class="quiet">Not sure, because of: {UNSURE[building.unsure_because].toLowerCase()}.</p>
      )}
    </div>
  );
}
