/** Far off, where a house is smaller than two pixels: dots for all buildings, and a note that says so. */
import type { DataDrivenPropertyValueSpecification, Map as MapLibreMap } from "maplibre-gl";

import "../styles/dots.css";
import { GRADES } from "../geo/grades";

/** As the server's tiles have it (review/tiles.py). */
const OUTLINES_FROM_ZOOM = 15;

/** Add the layer; gives its name. */
export function addDots(
  map: MapLibreMap,
  source: string,
  colour: DataDrivenPropertyValueSpecification<string>,
): string {
  const id = `${source}-dots`;
  const worseAbove = ["match", ["get", "grade"], ...GRADES.flatMap((grade, n) => [grade, n]), -1];
  map.addLayer({
    id,
    type: "circle",
    source,
    "source-layer": "dots",
    maxzoom: OUTLINES_FROM_ZOOM,
    layout: { "circle-sort-key": worseAbove as unknown as number },
    paint: {
      "circle-color": colour,
      "circle-radius": ["interpolate", ["linear"], ["zoom"], 10, 2, 15, 4],
      "circle-stroke-color": "#10151c",
      "circle-stroke-width": 0.75,
    },
  });
  const note = document.createElement("p");
  note.className = "dots-note";
  note.textContent = "Far off: each dot is one or more buildings of a grade, the worst on top. Zoom in for outlines.";
  map.getContainer().append(note);
  const tell = (): void => {
    note.hidden = map.getZoom() >= OUTLINES_FROM_ZOOM;
  };
  map.on("zoom", tell);
  tell();
  return id;
}
