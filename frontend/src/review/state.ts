/** What the review page knows at one moment, and what its parts need of each other. */
import type { Polygon } from "geojson";

import type { Gaps, Listed } from "../api/assessments";
import type {
  Assessment,
  AssessmentPage,
  Building,
  CountRow,
  DecisionKind,
  Draft,
  ReviewedArea,
} from "../api/types";
import type { Bounds } from "../geo/outline";
import type { Grade } from "../geo/grades";
import type { Waiting } from "./outbox";
import type { Store } from "./store";

export interface View {
  minScore: number;
  opacity: number;
  showRejected: boolean;
}

/** What the session needs of a map. */
export interface Sight {
  put(building: Building): void;
  drop(uid: string): void;
  lift(uid: string | null): void;
  select(uid: string | null): void;
  look(view: View): void;
  reload(): void;
  showAreas(areas: readonly ReviewedArea[]): void;
  showGaps(gaps: Gaps): void;
  /** Bring it into view; `close` enough to draw on. */
  goTo(bounds: Bounds, close: boolean): void;
  /** To where it was before it went close. */
  stepBack(): void;
  bounds(): Bounds;
  centre(): readonly [number, number];
}

export interface DrawingTool {
  draw(onOutline: (outline: Polygon) => void): void;
  edit(outline: Polygon, onOutline: (outline: Polygon) => void): void;
  putDown(): void;
}

export type Drawing =
  | { is: "redraw"; building: Building; outline: Polygon | null }
  | { is: "add"; grade: Grade | null; outline: Polygon | null }
  | { is: "area"; outline: Polygon | null }
  | { is: "team"; outline: Polygon | null };

export interface Conflict {
  draft: Draft;
  theirs: Building;
  message: string;
}

export interface Message {
  text: string;
  bad: boolean;
}

export interface ReviewState {
  progress: Assessment | null;
  connected: boolean;
  counts: readonly CountRow[] | null;
  view: View;
  picked: Building | null;
  opening: boolean;
  drawing: Drawing | null;
  saving: boolean;
  waiting: readonly Waiting[];
  conflict: Conflict | null;
  areas: readonly ReviewedArea[];
  /** Ground that was not looked at; null until it is known. */
  gaps: Gaps | null;
  listed: readonly Listed[] | null;
  /** Where the list goes on; null when it is whole. */
  listGoesOn: string | null;
  message: Message | null;
  undoable: readonly { uid: string; decision: string }[];
  keysOn: boolean;
  advance: boolean;
}

/** What every part of a session works with: `queue`, `drawing` and the others change nothing else. */
export interface Core {
  readonly page: AssessmentPage;
  readonly store: Store<ReviewState>;
  /** The map; null until it has been opened. */
  sight(): Sight | null;
  pen(): DrawingTool | null;
  /** Tell the person. */
  say(text: string, bad?: boolean): void;
  /** Tell the person why the server refused; anything else is a fault of ours and thrown. */
  fail(error: unknown): void;
  /** Take this as the newest state of a building, everywhere. */
  show(building: Building): void;
  pick(uid: string | null): Promise<void>;
  /** Decide on a building: shown at once, kept, and on its way. */
  send(building: Building, kind: DecisionKind, more?: Partial<Draft>): void;
  /** Put a decision that is not about one known building on its way. */
  post(draft: Draft): void;
}
