/** Ground that nobody and nothing looked at: hatched, so that empty does not look like safe. */
import type { GeoJSONSource, Map as MapLibreMap } from "maplibre-gl";

import type { Gaps } from "../api/assessments";

const SOURCE = "gaps";
const HATCH = "hatch";
const HATCH_PX = 12;
const AMBER = [245, 158, 11, 150] as const; // red, green, blue, alpha

export interface GapLayer {
  show(gaps: Gaps): void;
}

/** Add it below the buildings. */
export function addGapLayer(map: MapLibreMap): GapLayer {
  map.addImage(HATCH, hatch());
  map.addSource(SOURCE, { type: "geojson", data: { type: "FeatureCollection", features: [] } });
  map.addLayer({
    id: `${SOURCE}-fill`,
    type: "fill",
    source: SOURCE,
    paint: { "fill-pattern": HATCH },
  });
  map.addLayer({
    id: `${SOURCE}-line`,
    type: "line",
    source: SOURCE,
    paint: { "line-color": "#f59e0b", "line-width": 1 },
  });
  return {
    show(gaps) {
      map.getSource<GeoJSONSource>(SOURCE)?.setData(gaps);
    },
  };
}

/** One diagonal, which tiles into parallel lines. */
function hatch(): { width: number; height: number; data: Uint8Array } {
  const data = new Uint8Array(4 * HATCH_PX * HATCH_PX);
  for (let row = 0; row < HATCH_PX; row++) {
    for (let step = 0; step < 2; step++) {
      const column = (HATCH_PX - 1 - row + step) % HATCH_PX;
      data.set(AMBER, 4 * (row * HATCH_PX + column));
    }
  }
  return { width: HATCH_PX, height: HATCH_PX, data };
}
