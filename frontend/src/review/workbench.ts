/**
 * What actions work on: a session, and what other parts of the page offer besides. Whatever of it
 * is not there is not offered either: no key, no button, no line in the help.
 */
import type { Building } from "../api/types";
import type { Session } from "./session";

export const REASONS = ["cloud", "shadow", "hidden", "bad_image", "no_before", "other"] as const;
/** Why nobody can tell how a building is. */
export type Because = (typeof REASONS)[number];

export const REASON_NAMES: Record<Because, string> = {
  cloud: "Cloud or haze",
  shadow: "Shadow",
  hidden: "Hidden",
  bad_image: "Bad image",
  no_before: "No image before",
  other: "Other",
};

/** What a session may offer besides what every session does. */
export interface Offers {
  unsure(because: Because, note?: string): void;
  flag(note?: string): void;
  unflag(): void;
  previous(): void;
  split(): void;
  merge(): void;
  square(): void;
  /** Move the outline, or its chosen corner, by pixels of the screen. */
  nudge(east_px: number, north_px: number): void;
  /** The next corner (1) or the one before (-1) is the one that keys move; or all of the outline. */
  chooseCorner(step: 1 | -1): void;
  insertCorner(): void;
  deleteCorner(): void;
  /** A corner in the middle of the map: how to draw without a mouse. */
  cornerAtCross(): void;
  shift(): void;
  notAssessable(): void;
  redo(): void;
  toggleTable(): void;
  /** The drawing of an area that filters the queue. */
  stopFilter(): void;
}

/** What can be done with the view alone. */
export interface Views {
  /** The image before, for as long as it is on. */
  blink(on: boolean): void;
  swipe(): void;
  sideBySide(): void;
  goTo(): void;
  /** Move the map by pixels of the screen: right, down. */
  pan(right_px: number, down_px: number): void;
}

export type Workbench = Session & Partial<Offers>;

/** What a session may know besides. */
export interface Besides {
  drawingFilter?: boolean;
  table?: object | null;
}

/** Whether somebody asked for a second look. */
export const isFlagged = (building: Building): boolean =>
  (building as { flagged?: boolean }).flagged === true;
