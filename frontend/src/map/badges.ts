/**
 * Images that the map draws buildings with, made here: hatches, and round badges with the grade's
 * digit and the state of the review. Neither is ever told by colour alone.
 */
import type { Map as MapLibreMap } from "maplibre-gl";

import {
  ALL_GRADES,
  DARK,
  GRADE_COLOURS,
  GRADE_INK,
  GRADE_KEYS,
  LIGHT,
  hatchLines,
  type Grade,
} from "../geo/grades";

const SHARP = 2; // image pixels to one of the screen: for screens with two of them per point
const BADGE_PX = 44;
const HATCH_PX = 32;

/** How far the review of a building is, as its badge and its outline show it. */
export const LOOKS = ["open", "reviewed", "unsure", "rejected"] as const;
export type Look = (typeof LOOKS)[number];

export const badgeName = (grade: Grade, look: Look, flagged: boolean): string =>
  `badge-${grade}-${look}${flagged ? "-flagged" : ""}`;

export const hatchName = (grade: Grade): string => `hatch-${grade}`;

/** Add every badge and hatch to the map's images. */
export function addGradeImages(map: MapLibreMap): void {
  for (const grade of ALL_GRADES) {
    map.addImage(hatchName(grade), hatched(grade), { pixelRatio: SHARP });
    for (const look of LOOKS) {
      for (const flagged of [false, true]) {
        const image = badge(grade, look, flagged);
        map.addImage(badgeName(grade, look, flagged), image, { pixelRatio: SHARP });
      }
    }
  }
}

function painted(side: number, paint: (pen: CanvasRenderingContext2D) => void): ImageData {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = side;
  const pen = canvas.getContext("2d");
  if (!pen) throw new Error("This browser draws no badges.");
  paint(pen);
  return pen.getImageData(0, 0, side, side);
}

/** Strokes in the grade's ink, each between two of its colour: seen on any imagery. */
function hatched(grade: Grade): ImageData {
  return painted(HATCH_PX, (pen) => {
    for (const [width, colour] of [[6, GRADE_COLOURS[grade]], [2, GRADE_INK[grade]]] as const) {
      for (const [x1, y1, x2, y2] of hatchLines(grade, HATCH_PX)) {
        stroke(pen, [[x1, y1], [x2, y2]], width, colour);
      }
    }
  });
}

function badge(grade: Grade, look: Look, flagged: boolean): ImageData {
  return painted(BADGE_PX, (pen) => {
    const middle = BADGE_PX / 2;
    disc(pen, middle, middle, 14, GRADE_COLOURS[grade], look === "open" ? DARK : LIGHT);
    pen.fillStyle = GRADE_INK[grade];
    pen.font = "700 18px system-ui, sans-serif";
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.fillText(GRADE_KEYS[grade], middle, middle + 1);
    MARKS[look]?.(pen);
    if (flagged) flag(pen);
  });
}

const CORNER = 34; // where the small mark of the review sits, right and down

const MARKS: Partial<Record<Look, (pen: CanvasRenderingContext2D) => void>> = {
  reviewed(pen) {
    disc(pen, CORNER, CORNER, 7, LIGHT, DARK);
    stroke(pen, [[31, 34], [33.5, 36.5], [37, 31.5]], 2.2, "#0b6b3a");
  },
  unsure(pen) {
    disc(pen, CORNER, CORNER, 7, LIGHT, DARK);
    for (const x of [-3, 0, 3]) disc(pen, CORNER + x, CORNER, 0.6, DARK, DARK, 0.8);
  },
  rejected(pen) {
    stroke(pen, [[8, 8], [36, 36]], 7, DARK);
    stroke(pen, [[36, 8], [8, 36]], 7, DARK);
    stroke(pen, [[8, 8], [36, 36]], 3.5, LIGHT);
    stroke(pen, [[36, 8], [8, 36]], 3.5, LIGHT);
  },
};

/** A pennant on a pole, left and up. */
function flag(pen: CanvasRenderingContext2D): void {
  pen.beginPath();
  pen.moveTo(5, 2);
  pen.lineTo(18, 7);
  pen.lineTo(5, 12);
  pen.closePath();
  pen.fillStyle = LIGHT;
  pen.fill();
  pen.lineWidth = 2;
  pen.strokeStyle = DARK;
  pen.stroke();
  stroke(pen, [[5, 1], [5, 21]], 3, DARK);
}

function disc(
  pen: CanvasRenderingContext2D,
  x: number,
  y: number,
  radius: number,
  fill: string,
  rim: string,
  rimWidth = 3,
): void {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.fillStyle = fill;
  pen.fill();
  pen.lineWidth = rimWidth;
  pen.strokeStyle = rim;
  pen.stroke();
}

function stroke(
  pen: CanvasRenderingContext2D,
  points: readonly (readonly [number, number])[],
  width: number,
  colour: string,
): void {
  pen.beginPath();
  for (const [x, y] of points) pen.lineTo(x, y);
  pen.lineWidth = width;
  pen.strokeStyle = colour;
  pen.stroke();
}
