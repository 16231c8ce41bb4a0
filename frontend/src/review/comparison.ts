/** What is said of the image before: whether it was compared, and how well it lies. */
import type { Assessment } from "../api/types";
import { count } from "../geo/format";

type Compared = Pick<
  Assessment,
  "state" | "input_kind" | "before_scene" | "before_shift_m" | "before_tiles_without" | "tiles_total"
>;

/** Sentences for the person; none where there is no image before. */
export function comparison(row: Compared): readonly string[] {
  if (row.before_scene === null) return [];
  if (row.input_kind === "after") {
    return ["It is only shown on the map: this model looks at the image after by itself."];
  }
  if (row.state === "waiting" || row.state === "planning") {
    return ["How far it lies off the image after is measured first."];
  }
  return [laid(row.before_shift_m), ...bare(row)];
}

function laid(shift_m: number | null): string {
  if (shift_m === null) return "How far it lies off could not be told: it is compared as its file places it.";
  if (shift_m === 0) return "As a whole it lies under the image after; single tiles were moved a little.";
  return `As a whole it was moved ${shift_m.toFixed(1)} m to lie under the image after; single tiles a little more or less.`;
}

function bare({ before_tiles_without: without, tiles_total }: Compared): readonly string[] {
  if (!without) return [];
  const tiles = count(without, "tile", "tiles");
  return [`It shows nothing of ${tiles} out of ${tiles_total}: there the image after was looked at by itself.`];
}
