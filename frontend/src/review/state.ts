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
import type { Peer } from "../api/together";
import type { Clash, Entry, Refusal } from "./log/ledger";
import type { Trouble } from "./log/sender";
import type { Queue } from "./queue";
import type { Store } from "./store";
import type { Table } from "./table";

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
  showPeers(peers: readonly Peer[]): void;
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

/** A decision that the server has not answered. */
export interface Waiting {
  readonly draft: Draft;
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
  /** Why nothing can be sent just now. */
  trouble: Trouble | null;
  /** How many decisions on other assessments wait in this browser. */
  waitingElsewhere: number;
  /** Why this browser keeps nothing, so that nothing can be decided; "" if it does. */
  cannotKeep: string;
  /** Where somebody else was quicker and the person has yet to choose; null while none is shown. */
  conflict: Clash | null;
  /** How many such choices are left, shown or not. */
  unsettled: number;
  refusals: readonly Refusal[];
  peers: readonly Peer[];
  areas: readonly ReviewedArea[];
  /** Ground that was not looked at; null until it is known. */
  gaps: Gaps | null;
  listed: readonly Listed[] | null;
  /** Where the list goes on; null when it is whole. */
  listGoesOn: string | null;
  queue: Queue;
  /** The outline inside which the queue looks is being drawn. */
  drawingFilter: boolean;
  /** Open beside the map; null while it is closed. */
  table: Table | null;
  message: Message | null;
  undoable: readonly Entry[];
  redoable: readonly Entry[];
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
  /** Take these as fetched, unless newer ones are known; gives the newest of each. */
  learn(buildings: readonly Building[]): readonly Building[];
  /** The newest state that this page has seen. */
  known(uid: string): Building | undefined;
  /** Decide on a building: shown at once, kept, and on its way. */
  send(building: Building, kind: DecisionKind, more?: Partial<Draft>): void;
  /** Put a decision that is not about one known building on its way. */
  post(draft: Draft): void;
}
