/** What the review page knows at one moment, and what its parts need of each other. */
import type { Polygon, Position } from "geojson";

import type { Gaps, Listed } from "../api/assessments";
import type {
  AreaBecause,
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
import type { Point } from "../geo/plane";
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
  /** The outline inside which the queue looks; null: everywhere. */
  showFilter(area: Polygon | null): void;
  showPeers(peers: readonly Peer[]): void;
  /** Bring it into view; `close` enough to draw on. */
  goTo(bounds: Bounds, close: boolean): void;
  /** To where it was before it went close. */
  stepBack(): void;
  bounds(): Bounds;
  centre(): readonly [number, number];
}

/** Hears of an outline when it is closed and whenever it changes; `corner` is the one that keys move. */
export type HearOutline = (outline: Polygon, corner: number | null) => void;

export interface DrawingTool {
  /** Start a new outline. */
  draw(onOutline: HearOutline): void;
  /** Start a line. */
  drawLine(onLine: (line: readonly Position[]) => void): void;
  /** Edit an outline's corners. */
  edit(outline: Polygon, onOutline: HearOutline): void;
  /** Take away what is edited. */
  rest(): void;
  /** Put another outline in the place of the one that is edited. */
  reshape(outline: Polygon): void;
  /** New and moved corners go onto these where they come near. */
  snapTo(outlines: readonly Polygon[]): void;
  /** Show what will be. */
  preview(outlines: readonly Polygon[]): void;
  /** Whether something is begun that has no outline yet. */
  sketching(): boolean;
  /** The next (1) or previous (-1) corner; after the last one comes the whole outline. */
  choose(step: 1 | -1): void;
  /** Move the chosen corner, or else the whole outline; before there is one, the map under the cross. */
  nudge(east_px: number, north_px: number): void;
  insertCorner(): void;
  deleteCorner(): void;
  /** A corner in the middle of the map. */
  cornerAtCross(): void;
  /** Close what is begun. */
  finish(): void;
  /** Hear of drags over the map, in metres, instead of moving the map. */
  dragAll(onDrag: (way: Point, ended: boolean) => void): void;
  putDown(): void;
}

export type DrawingKind = "redraw" | "add" | "split" | "merge" | "shift" | "area" | "not_assessable" | "team";

/** What is being drawn. What a kind does not need stays empty. */
export interface Drawing {
  readonly is: DrawingKind;
  /** As drawn so far; null until it is closed. */
  readonly outline: Polygon | null;
  /** The corner that keys move; null: all of it. */
  readonly corner: number | null;
  /** Why it cannot be saved, as a sentence; "" where nothing is known against it. */
  readonly trouble: string;
  /** redraw, split. */
  readonly building: Building | null;
  /** add, merge. */
  readonly grade: Grade | null;
  /** merge: the first keeps its name. */
  readonly parts: readonly Building[];
  /** merge: what could be added. */
  readonly nearby: readonly Building[];
  /** split. */
  readonly pieces: readonly Polygon[];
  /** not_assessable. */
  readonly because: AreaBecause | null;
  /** shift: metres east and north, and what moves. */
  readonly shift_m: Point;
  readonly moving: readonly Polygon[];
}

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
  /** User names of those who decided here, as far as it was asked. */
  people: readonly string[];
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
  /** Decide on a building: shown at once, kept, and on its way. `parts` are merged into it. */
  send(
    building: Building,
    kind: DecisionKind,
    more?: Partial<Draft>,
    parts?: readonly Building[],
  ): void;
  /** Put a decision that is not about one known building on its way. */
  post(draft: Draft): void;
}
