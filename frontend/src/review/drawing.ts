/**
 * Drawing on the map: outlines anew, added, split, merged, squared and moved; areas marked.
 * Each kind of drawing ends in one decision, or in one area. Until then nothing leaves this page.
 */
import type { Polygon, Position } from "geojson";

import { standingIn, stands } from "../api/outlines";
import type { AreaBecause, Building, Draft } from "../api/types";
import type { Grade } from "../geo/grades";
import { checkBuilding } from "../geo/guard";
import { MOST_GAP_M, gapM, merged } from "../geo/merge";
import { boundsOf, checkOutline, type Bounds } from "../geo/outline";
import { centroidOf, contains, moved, type Point } from "../geo/plane";
import { split } from "../geo/split";
import { squared } from "../geo/square";
import type { Core, Drawing, DrawingKind } from "./state";

/** The way of one arrow key, and with Shift, in screen pixels: zoom in to move by less. */
export const STEP_PX = 1;
export const BIG_STEP_PX = 10;

const LONGEST_SHIFT_M = 40; // as the server has it
const MOST_SHIFTED = 2000;
const ROUND_M = 60; // neighbours within this of a building are known while it is drawn
const BESIDE_M = 12; // of a building that is merged, so that what it is merged with is in sight

const BLANK: Omit<Drawing, "is"> = {
  outline: null, corner: null, trouble: "", building: null, grade: null, parts: [], nearby: [],
  pieces: [], because: null, shift_m: [0, 0], moving: [],
};

/** `addArea` and `addTeamArea` store an area; they throw what the server refuses. */
export function createDrawing(
  core: Core,
  addArea: (outline: Polygon, because: AreaBecause | null) => Promise<void>,
  addTeamArea: (outline: Polygon) => Promise<void>,
) {
  const { page, store, sight, pen, say, fail, pick, send, post, known } = core;
  /** What stands near by; what is drawn must not lie over it. */
  let standing: readonly Building[] = [];

  const now = (): Drawing | null => store.now.drawing;
  const change = (more: Partial<Drawing>): void => {
    const drawing = now();
    if (drawing) store.set({ drawing: { ...drawing, ...more } });
  };

  const begin = (is: DrawingKind, more: Partial<Drawing> = {}): boolean => {
    const tool = pen();
    if (!tool || now() || !page.can_review) return false;
    if (!more.building && !more.parts) void pick(null);
    standing = [];
    store.set({ drawing: { ...BLANK, is, ...more }, message: null });
    return true;
  };

  /** With what of ours the server has not heard yet. */
  const newest = (one: Building): Building => {
    const ours = known(one.uid);
    return ours && ours.version > one.version ? ours : one;
  };

  /** Ask what stands inside bounds, to snap to it and to keep off it; without it, the server says. */
  const lookAround = async (bounds: Bounds): Promise<readonly Building[]> => {
    try {
      standing = (await standingIn(page.id, bounds)).standing.map(newest).filter(stands);
    } catch (error) {
      fail(error);
    }
    const drawing = now();
    if (drawing) pen()?.snapTo(others(drawing).map(({ outline }) => outline));
    return standing;
  };

  /** All that stands and is not what is drawn anew. */
  const others = ({ building, parts }: Drawing): readonly Building[] => {
    const mine = new Set([building?.uid, ...parts.map(({ uid }) => uid)]);
    return standing.filter(({ uid }) => !mine.has(uid));
  };

  const judge = (drawing: Drawing, outline: Polygon): string => {
    if (isArea(drawing.is)) {
      const check = checkOutline(outline);
      return check.ok ? "" : check.message;
    }
    const before = drawing.building ? [drawing.building.outline] : drawing.parts.map((one) => one.outline);
    const neighbours = others(drawing).map((one) => one.outline);
    const check = checkBuilding(outline, { neighbours, before, image: page.bounds });
    return check.ok ? "" : check.message;
  };

  const hear = (outline: Polygon, corner: number | null): void => {
    const drawing = now();
    if (!drawing) return;
    change({ outline, corner, trouble: judge(drawing, outline) });
    if (drawing.is === "shift") void gather(outline);
  };

  /** --- one building: add, edit, square */

  const add = (): void => {
    if (!begin("add")) return;
    pen()?.draw(hear);
    const bounds = sight()?.bounds();
    if (bounds) void lookAround(bounds);
  };

  const edit = (): void => {
    const { picked } = store.now;
    if (!picked || !begin("redraw", { building: picked })) return;
    sight()?.lift(picked.uid);
    sight()?.goTo(boundsOf(picked.outline), true);
    pen()?.edit(picked.outline, hear);
    void lookAround(around(picked.outline)).then(judgeAgain);
  };

  const judgeAgain = (): void => {
    const drawing = now();
    if (drawing?.outline) change({ trouble: judge(drawing, drawing.outline) });
  };

  const square = (): void => {
    if (!now()) edit();
    const outline = now()?.outline;
    if (!outline || isArea(now()?.is)) return;
    const shaped = squared(outline);
    if (!shaped.ok) return say(shaped.message, true);
    pen()?.reshape(shaped.outline);
    say("Corners are square. Save it, or go on.");
  };

  /** --- several: split, merge, shift */

  const startSplit = (): void => {
    const { picked } = store.now;
    if (!picked || !begin("split", { building: picked })) return;
    sight()?.goTo(boundsOf(picked.outline), true);
    pen()?.preview([picked.outline]);
    const cut = (line: readonly Position[]): void => {
      const pieces = split(picked.outline, line);
      change(pieces.ok ? { pieces: pieces.pieces, trouble: "" } : { pieces: [], trouble: pieces.message });
      pen()?.preview(pieces.ok ? pieces.pieces : [picked.outline]);
      if (!pieces.ok) pen()?.drawLine(cut); // so that the next line can be drawn at once
    };
    pen()?.drawLine(cut);
  };

  const startMerge = (): void => {
    const { picked } = store.now;
    if (!picked) return;
    if (!begin("merge", { parts: [picked] })) return;
    sight()?.goTo(around(picked.outline, BESIDE_M), true);
    pen()?.preview([picked.outline]);
    void lookAround(around(picked.outline)).then(() => change({ nearby: nearby([picked]) }));
  };

  const nearby = (parts: readonly Building[]): readonly Building[] => {
    const mine = new Set(parts.map(({ uid }) => uid));
    const near = (one: Building): boolean =>
      parts.some(({ outline }) => gapM(outline, one.outline) <= MOST_GAP_M);
    return standing.filter((one) => !mine.has(one.uid) && near(one));
  };

  /** Take a building into the merge, or out of it again. */
  const join = (uid: string): void => {
    const drawing = now();
    const one = standing.find((other) => other.uid === uid);
    if (drawing?.is !== "merge" || !one || uid === drawing.parts[0]?.uid) return;
    const has = drawing.parts.some((part) => part.uid === uid);
    const parts = has ? drawing.parts.filter((part) => part.uid !== uid) : [...drawing.parts, one];
    const shaped = merged(parts.map(({ outline }) => outline));
    if (!shaped.ok) return say(shaped.message, true);
    change({ parts, nearby: nearby(parts), outline: null, corner: null, trouble: "" });
    pen()?.snapTo(others({ ...drawing, parts }).map(({ outline }) => outline));
    pen()?.preview(parts.length > 1 ? [] : parts.map(({ outline }) => outline));
    if (parts.length > 1) pen()?.edit(shaped.outline, hear);
    else pen()?.rest();
  };

  const startShift = (): void => {
    if (begin("shift")) pen()?.draw(hear);
  };

  /** Find what an area holds, and let it be moved. */
  const gather = async (area: Polygon): Promise<void> => {
    try {
      const { standing: found, whole } = await standingIn(page.id, boundsOf(area));
      const inside = found.map(({ outline }) => outline).filter((one) => contains(area, centroidOf(one)));
      if (now()?.is !== "shift") return;
      change({ moving: inside, trouble: shiftTrouble(inside.length, whole) });
      if (inside.length && whole) pen()?.dragAll(dragged);
      moveAll([0, 0]);
    } catch (error) {
      fail(error);
    }
  };

  let from: Point = [0, 0];
  const dragged = ([east, north]: Point, ended: boolean): void => {
    const to: Point = [from[0] + east, from[1] + north];
    moveAll(to);
    if (ended) from = now()?.shift_m ?? [0, 0];
  };

  const moveAll = (shift_m: Point): void => {
    const drawing = now();
    if (!drawing) return;
    if (!shift_m[0] && !shift_m[1]) from = [0, 0];
    const far = Math.hypot(...shift_m) > LONGEST_SHIFT_M;
    const trouble = far ? `Outlines move by at most ${LONGEST_SHIFT_M} m at once.` : "";
    change(drawing.moving.length ? { shift_m, trouble } : { shift_m });
    pen()?.preview(drawing.moving.map((outline) => moved(outline, shift_m)));
  };

  const nudge = (east_px: number, north_px: number): void => {
    const drawing = now();
    if (!drawing) return;
    if (drawing.is !== "shift" || !drawing.outline) return pen()?.nudge(east_px, north_px);
    const perPx = metresPerPixel(sight()?.bounds());
    const [east, north] = drawing.shift_m;
    moveAll([east + east_px * perPx, north + north_px * perPx]);
    from = now()?.shift_m ?? [0, 0];
  };

  /** --- leaving and saving */

  const stopDrawing = (): void => {
    pen()?.putDown();
    sight()?.lift(null);
    sight()?.stepBack();
    store.set({ drawing: null, saving: false });
  };

  const saveDrawing = async (): Promise<void> => {
    const drawing = now();
    if (!drawing || store.now.saving) return;
    if (pen()?.sketching()) return close(); // what is closed by that is looked at before it is saved
    if (whatIsMissing(drawing)) say(whatIsMissing(drawing), true);
    else return save(drawing);
  };

  const close = async (): Promise<void> => {
    pen()?.finish();
    await new Promise((done) => setTimeout(done)); // the pen tells of it in a moment
    const drawing = now();
    const open = pen()?.sketching() && drawing && !drawing.outline && !drawing.trouble;
    if (open) say(drawing.is === "split" ? "A line needs two ends." : "An outline needs three corners or more.", true);
  };

  const save = async (drawing: Drawing): Promise<void> => {
    if (isArea(drawing.is) && drawing.is !== "shift") return saveArea(drawing);
    if (store.now.cannotKeep) return say(store.now.cannotKeep, true); // the drawing stays
    stopDrawing();
    decide(drawing);
  };

  const decide = ({ is, building, outline, grade, parts, pieces, shift_m }: Drawing): void => {
    const [first, ...rest] = parts;
    if (is === "redraw" && building && outline) send(building, "redraw", { outline });
    else if (is === "split" && building) send(building, "split", { outlines: pieces });
    else if (is === "add" && outline && grade) post(draftOf("add", { grade, outline }));
    else if (is === "shift" && outline) post(draftOf("shift", { area: outline, shift_m }));
    else if (is === "merge" && first && outline && store.now.picked) {
      const joined = rest.map(newest);
      const others = joined.map(({ uid, version }) => ({ building: uid, on_version: version }));
      send(store.now.picked, "merge", { outline, others, ...(grade ? { grade } : {}) }, joined);
    }
  };

  const draftOf = (kind: "add" | "shift", more: Partial<Draft>): Draft => ({
    id: crypto.randomUUID(), kind, building: null, on_version: 0, ...more,
  });

  const saveArea = async ({ is, outline, because }: Drawing): Promise<void> => {
    if (!outline) return;
    store.set({ saving: true });
    try {
      await (is === "team" ? addTeamArea(outline) : addArea(outline, is === "area" ? null : because));
      stopDrawing();
      say(AREA_SAVED[is] ?? "");
    } catch (error) {
      store.set({ saving: false }); // the drawing stays, so nothing is lost
      fail(error);
    }
  };

  const startArea = (is: "area" | "not_assessable" | "team"): void => {
    if (begin(is)) pen()?.draw(hear);
  };

  return {
    add,
    edit,
    /** As `edit` was called before. */
    redraw: edit,
    square,
    split: startSplit,
    merge: startMerge,
    join,
    shift: startShift,
    nudge,
    chooseCorner: (step: 1 | -1): void => pen()?.choose(step),
    insertCorner: (): void => pen()?.insertCorner(),
    deleteCorner: (): void => pen()?.deleteCorner(),
    cornerAtCross: (): void => pen()?.cornerAtCross(),
    markArea: (): void => startArea("area"),
    notAssessable: (): void => startArea("not_assessable"),
    drawTeamArea: (): void => startArea("team"),
    chooseReason: (because: AreaBecause): void => change({ because }),
    chooseGrade(grade: Grade): void {
      const is = now()?.is;
      if (is === "add" || is === "merge") change({ grade });
    },
    saveDrawing,
    stopDrawing,
  };
}

const AREAS: readonly (DrawingKind | undefined)[] = ["area", "not_assessable", "shift", "team"];
const isArea = (is?: DrawingKind): boolean => AREAS.includes(is);

const AREA_SAVED: Partial<Record<DrawingKind, string>> = {
  area: "Area marked as fully reviewed.",
  not_assessable: "Area marked as not assessable.",
  team: "The area is added.",
};

/** Why a drawing cannot be saved yet, as a sentence; "" if it can. */
export function whatIsMissing(drawing: Drawing): string {
  const { is, outline, grade, parts, pieces, because, trouble, moving, shift_m } = drawing;
  if (trouble) return trouble;
  if (is === "split") return pieces.length ? "" : "Draw a line right across the building first.";
  if (is === "merge" && parts.length < 2) return "Choose the buildings to merge with first.";
  if (!outline) return "Draw the outline first.";
  if (is === "shift") {
    if (!moving.length) return "No building lies in the area. Draw it round those to move.";
    return shift_m[0] || shift_m[1] ? "" : "Move the outlines first.";
  }
  if (is === "merge" && !grade && gradesOf(parts).size > 1) return "Choose the grade of the whole first.";
  if (is === "add" && !grade) return "Choose a grade first.";
  if (is === "not_assessable" && !because) return "Choose why the area cannot be assessed first.";
  return "";
}

export const gradesOf = (parts: readonly Building[]): ReadonlySet<Grade> => new Set(parts.map(({ grade }) => grade));

function shiftTrouble(count: number, whole: boolean): string {
  if (count > MOST_SHIFTED || !whole) return `Move at most ${MOST_SHIFTED} buildings at once: draw a smaller area.`;
  return count ? "" : "No building lies in the area. Draw it round those to move.";
}

/** Bounds with room for the neighbours. */
function around(outline: Polygon, room_m = ROUND_M): Bounds {
  const [west, south] = boundsOf(moved(outline, [-room_m, -room_m]));
  const [, , east, north] = boundsOf(moved(outline, [room_m, room_m]));
  return [west, south, east, north];
}

/** Of the map as it is shown; a pixel is as wide as it is high. */
function metresPerPixel(bounds?: Bounds): number {
  if (!bounds) return 0;
  const [west, south, east] = bounds;
  const width = (east - west) * Math.cos((south * Math.PI) / 180) * 111_320;
  return width / document.getElementById("map")!.clientWidth;
}

