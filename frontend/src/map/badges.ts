/** Round badges with the grade's digit, drawn here: a grade is never told by colour alone. */
import type { Map as MapLibreMap } from "maplibre-gl";

import { ALL_GRADES, GRADE_COLOURS, GRADE_KEYS, type Grade } from "../geo/grades";

const SIZE = 36; // pixels, for screens with two of them per point
const DARK_GRADES: ReadonlySet<Grade> = new Set<Grade>(["major_damage", "destroyed"]);

export const badgeName = (grade: Grade, reviewed: boolean): string =>
  `badge-${grade}-${reviewed ? "reviewed" : "open"}`;

/** Add every badge to the map's images. Reviewed ones have a white rim with a tick. */
export function addBadges(map: MapLibreMap): void {
  for (const grade of ALL_GRADES) {
    for (const reviewed of [false, true]) {
      map.addImage(badgeName(grade, reviewed), drawn(grade, reviewed), { pixelRatio: 2 });
    }
  }
}

function drawn(grade: Grade, reviewed: boolean): ImageData {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIZE;
  const pen = canvas.getContext("2d");
  if (!pen) throw new Error("This browser draws no badges.");
  const middle = SIZE / 2;
  disc(pen, middle, middle, 14, GRADE_COLOURS[grade], reviewed ? "#ffffff" : "#10151c");
  pen.fillStyle = DARK_GRADES.has(grade) ? "#ffffff" : "#10151c";
  pen.font = "700 18px system-ui, sans-serif";
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.fillText(GRADE_KEYS[grade], middle, middle + 1);
  if (reviewed) tick(pen);
  return pen.getImageData(0, 0, SIZE, SIZE);
}

function disc(
  pen: CanvasRenderingContext2D,
  x: number,
  y: number,
  radius: number,
  fill: string,
  rim: string,
): void {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.fillStyle = fill;
  pen.fill();
  pen.lineWidth = 3;
  pen.strokeStyle = rim;
  pen.stroke();
}

function tick(pen: CanvasRenderingContext2D): void {
  disc(pen, 28, 28, 6.5, "#ffffff", "#10151c");
  pen.beginPath();
  pen.moveTo(25, 28);
  pen.lineTo(27.5, 30.5);
  pen.lineTo(31, 25.5);
  pen.lineWidth = 2;
  pen.strokeStyle = "#0b6b3a";
  pen.stroke();
}
