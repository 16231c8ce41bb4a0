/**
 * What actions work on: a session, and what other parts of the page offer besides. Whatever of it
 * is not there is not offered either: no key, no button, no line in the help.
 */
import type { Building, UnsureBecause } from "../api/types";
import type { Session } from "./session";

export const REASONS = ["cloud", "shadow", "hidden", "bad_image", "no_before", "other"] as const satisfies readonly UnsureBecause[];
/** Why nobody can tell how a building is. */
export type Because = UnsureBecause;

export const REASON_NAMES: Record<Because, string> = {
  cloud: "Cloud or haze",
  shadow: "Shadow",
  hidden: "Hidden",
  bad_image: "Bad image",
  no_before: "No image before",
  other: "Other",
};

/** What can be done with the view alone. */
export interface Views {
  /** The image before, for as long as it is on. */
  blink(on: boolean): void;
  /** The image before, until it is asked for again. */
  keepBefore(): void;
  swipe(): void;
  sideBySide(): void;
  goTo(): void;
  /** Move the map by pixels of the screen: right, down. */
  pan(right_px: number, down_px: number): void;
}

export type Workbench = Session;

/** Whether somebody asked for a second look. */
export const isFlagged = (building: Building): boolean => building.flagged;
