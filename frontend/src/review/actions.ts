/**
 * Everything that a key or a button does on the review page: one name each, here and nowhere else.
 * A key is named as in keymap.ts: "x", "Shift+f", "Ctrl+z", " ", "Enter", "ArrowLeft".
 */
import { GRADES, GRADE_KEYS, GRADE_NAMES } from "../geo/grades";
import type { Mode } from "./keymap";
import type { ReviewState } from "./state";
import { isFlagged, type Workbench } from "./workbench";

export type ActionName =
  | "accept" | "reject" | "grade0" | "grade1" | "grade2" | "grade3" | "unsure" | "flag" | "flagNote"
  | "next" | "previous" | "edit" | "add" | "split" | "merge" | "square" | "save"
  | "previousCorner" | "nextCorner" | "insertCorner" | "deleteCorner" | "cornerAtCross"
  | "nudgeLeft" | "nudgeRight" | "nudgeUp" | "nudgeDown" | "shift" | "markArea" | "notAssessable"
  | "blink" | "keepBefore" | "swipe" | "sideBySide" | "goTo" | "table" | "undo" | "redo" | "letGo" | "help";

export const GROUPS = ["Decide", "Go on", "Outlines", "Areas", "Look", "Take back"] as const;

export interface Action {
  readonly name: ActionName;
  readonly label: string;
  readonly group: (typeof GROUPS)[number];
  /** The keys that it comes with. */
  readonly keys: readonly string[];
  readonly modes: readonly Mode[];
  /** No single printed key: it works with single keys switched off, and cannot be given another. */
  readonly fixed?: true;
  /** Goes on while its key is held. */
  readonly repeats?: true;
  /** Possible before there is a result. */
  readonly anytime?: true;
  run(bench: Workbench, key: string): void;
  /** For what lasts as long as its key is held. */
  release?(bench: Workbench): void;
  /** Whether this person, on this page, has it at all. */
  there?(bench: Workbench): boolean;
  when?(state: ReviewState): boolean;
}

const REVIEW: readonly Mode[] = ["review"];
const DRAWING: readonly Mode[] = ["drawing"];
const BOTH: readonly Mode[] = ["review", "drawing"];

const NUDGE_PX = 1; // of the screen
const FAR_PX = 10; // with Shift

const reviewer = ({ page }: Workbench): boolean => page.can_review;
const picked = ({ picked, opening }: ReviewState): boolean => picked !== null && !opening;

const grades = GRADES.map((grade, at): Action => ({
  name: `grade${at as 0 | 1 | 2 | 3}`,
  label: GRADE_NAMES[grade],
  group: "Decide",
  keys: [GRADE_KEYS[grade]],
  modes: BOTH,
  there: reviewer,
  when: (state) => picked(state) || state.drawing !== null,
  run: (bench) =>
    bench.store.now.drawing ? bench.chooseGrade(grade) : bench.decide("regrade", grade),
}));

const nudges = (
  [
    ["Left", -1, 0],
    ["Right", 1, 0],
    ["Up", 0, 1],
    ["Down", 0, -1],
  ] as const
).map(([way, east, north]): Action => ({
  name: `nudge${way}`,
  label: `Nudge ${way.toLowerCase()}; with Shift, farther`,
  group: "Outlines",
  keys: [`Arrow${way}`, `Shift+Arrow${way}`],
  modes: DRAWING,
  fixed: true,
  repeats: true,
  there: reviewer,
  run(bench, key) {
    const step = key.startsWith("Shift+") ? FAR_PX : NUDGE_PX;
    bench.nudge(east * step, north * step);
  },
}));

export const ACTIONS: readonly Action[] = [
  {
    name: "accept", label: "Accept", group: "Decide", keys: [" ", "Enter"], modes: REVIEW,
    there: reviewer, when: picked, run: (bench) => bench.decide("accept"),
  },
  ...grades,
  {
    name: "reject", label: "No building", group: "Decide", keys: ["x"], modes: REVIEW,
    there: reviewer, when: picked, run: (bench) => bench.decide("reject"),
  },
  {
    name: "unsure", label: "Cannot tell", group: "Decide", keys: ["u"], modes: REVIEW,
    there: reviewer, when: picked, run: (bench) => bench.desk.ask("unsure"),
  },
  {
    name: "flag", label: "Flag for a second look", group: "Decide", keys: ["f"], modes: REVIEW,
    there: reviewer, when: picked,
    run(bench) {
      const { picked } = bench.store.now;
      if (picked && isFlagged(picked)) bench.unflag();
      else bench.flag();
    },
  },
  {
    name: "flagNote", label: "Flag, with a note", group: "Decide", keys: ["Shift+f"], modes: REVIEW,
    there: reviewer, when: picked, run: (bench) => bench.desk.ask("flag"),
  },
  {
    name: "next", label: "Next building", group: "Go on", keys: ["n", "j"], modes: REVIEW,
    run: (bench) => void bench.next(),
  },
  {
    name: "previous", label: "Previous building", group: "Go on", keys: ["k", "p"], modes: REVIEW,
    run: (bench) => void bench.previous(),
  },
  {
    name: "goTo", label: "Go to a place or a building", group: "Go on", keys: ["g"], modes: REVIEW,
    there: ({ desk }) => desk.views.goTo !== undefined, run: ({ desk }) => desk.views.goTo?.(),
  },
  {
    name: "table", label: "Table of buildings", group: "Go on", keys: ["t"], modes: REVIEW,
    run: (bench) => bench.toggleTable(),
  },
  {
    name: "edit", label: "Edit the outline", group: "Outlines", keys: ["e"], modes: REVIEW,
    there: reviewer, when: picked, run: (bench) => bench.redraw(),
  },
  {
    name: "square", label: "Square the corners", group: "Outlines", keys: ["s"], modes: BOTH,
    there: reviewer, when: (state) => picked(state) || state.drawing !== null,
    run: (bench) => bench.square(),
  },
  {
    name: "split", label: "Split", group: "Outlines", keys: ["v"], modes: REVIEW,
    there: reviewer, when: picked, run: (bench) => bench.split(),
  },
  {
    name: "merge", label: "Merge", group: "Outlines", keys: ["c"], modes: REVIEW,
    there: reviewer, when: picked, run: (bench) => bench.merge(),
  },
  {
    name: "add", label: "Add a building", group: "Outlines", keys: ["a"], modes: REVIEW,
    there: reviewer, run: (bench) => bench.add(),
  },
  {
    name: "previousCorner", label: "Corner before", group: "Outlines", keys: [","], modes: DRAWING,
    repeats: true, there: reviewer,
    run: (bench) => bench.chooseCorner(-1),
  },
  {
    name: "nextCorner", label: "Next corner", group: "Outlines", keys: ["."], modes: DRAWING,
    repeats: true, there: reviewer,
    run: (bench) => bench.chooseCorner(1),
  },
  {
    name: "insertCorner", label: "Another corner after this one", group: "Outlines",
    keys: ["i", "Insert"], modes: DRAWING, there: reviewer,
    run: (bench) => bench.insertCorner(),
  },
  {
    name: "deleteCorner", label: "Remove the corner", group: "Outlines",
    keys: ["Delete", "Backspace"], modes: DRAWING, there: reviewer,
    run: (bench) => bench.deleteCorner(),
  },
  {
    name: "cornerAtCross", label: "Corner in the middle of the map", group: "Outlines", keys: ["c"],
    modes: DRAWING, there: reviewer,
    run: (bench) => bench.cornerAtCross(),
  },
  ...nudges,
  {
    name: "save", label: "Save what is drawn", group: "Outlines", keys: ["Enter"], modes: DRAWING,
    fixed: true, there: reviewer, when: ({ saving }) => !saving,
    run: (bench) => void bench.saveDrawing(),
  },
  {
    name: "markArea", label: "Mark a reviewed area", group: "Areas", keys: ["m"], modes: REVIEW,
    there: reviewer, run: (bench) => bench.markArea(),
  },
  {
    name: "notAssessable", label: "Mark ground that cannot be judged", group: "Areas", keys: ["l"],
    modes: REVIEW, there: reviewer,
    run: (bench) => bench.notAssessable(),
  },
  {
    name: "shift", label: "Shift outlines to their roofs", group: "Areas", keys: ["o"], modes: REVIEW,
    there: reviewer, run: (bench) => bench.shift(),
  },
  {
    name: "blink", label: "Hold: the image before", group: "Look", keys: ["b"], modes: BOTH,
    there: ({ page, desk }) => page.before_scene !== null && desk.views.blink !== undefined,
    run: ({ desk }) => desk.views.blink?.(true),
    release: ({ desk }) => desk.views.blink?.(false),
  },
  {
    name: "keepBefore", label: "The image before, until pressed again", group: "Look", keys: ["Shift+b"],
    modes: BOTH,
    there: ({ page, desk }) => page.before_scene !== null && desk.views.keepBefore !== undefined,
    run: ({ desk }) => desk.views.keepBefore?.(),
  },
  {
    name: "swipe", label: "Swipe between before and after", group: "Look", keys: ["w"], modes: BOTH,
    there: ({ page, desk }) => page.before_scene !== null && desk.views.swipe !== undefined,
    run: ({ desk }) => desk.views.swipe?.(),
  },
  {
    name: "sideBySide", label: "Before and after side by side", group: "Look", keys: ["d"], modes: BOTH,
    there: ({ page, desk }) => page.before_scene !== null && desk.views.sideBySide !== undefined,
    run: ({ desk }) => desk.views.sideBySide?.(),
  },
  {
    name: "undo", label: "Undo", group: "Take back", keys: ["Ctrl+z"], modes: REVIEW, fixed: true,
    there: reviewer, run: (bench) => void bench.undo(),
  },
  {
    name: "redo", label: "Redo", group: "Take back", keys: ["Ctrl+Shift+z", "Ctrl+y"], modes: REVIEW,
    fixed: true, there: reviewer, run: (bench) => void bench.redo(),
  },
  {
    name: "letGo", label: "Stop drawing, or let go of the building", group: "Take back",
    keys: ["Escape"], modes: BOTH, fixed: true,
    run(bench) {
      const { drawing, drawingFilter, table } = bench.store.now;
      if (drawing) bench.stopDrawing();
      else if (drawingFilter) bench.stopFilter();
      else if (table) bench.toggleTable();
      else void bench.pick(null);
    },
  },
  {
    name: "help", label: "Keys and help", group: "Look", keys: ["?"], modes: BOTH, anytime: true,
    run: ({ desk }) => desk.openHelp(true),
  },
];

const BY_NAME = new Map(ACTIONS.map((action) => [action.name, action]));

export function actionNamed(name: ActionName): Action {
  const found = BY_NAME.get(name);
  if (!found) throw new Error(`no action is called ${name}`);
  return found;
}

/** Whether this person, on this page, has it at all. */
export const there = (action: Action, bench: Workbench): boolean => action.there?.(bench) ?? true;

/** Whether it can be done now. */
export function possible(action: Action, bench: Workbench): boolean {
  const state = bench.store.now;
  if (!action.anytime && state.progress?.state !== "done") return false;
  if (!action.modes.includes(state.drawing ? "drawing" : "review")) return false;
  return there(action, bench) && (action.when?.(state) ?? true);
}
