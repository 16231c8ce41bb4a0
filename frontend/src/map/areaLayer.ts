/** Areas in which somebody has looked at everything, and those that nobody can assess: hatched. */
import type { GeoJSONSource, Map as MapLibreMap } from "maplibre-gl";

import type { ReviewedArea } from "../api/types";

const SOURCE = "reviewed-areas";
const HATCH = "not-assessable";
const HATCH_PX = 14;
const LINE = [226, 232, 240, 170] as const; // red, green, blue, alpha: no grade has this grey
const SHADE = [16, 21, 28, 90] as const;

export interface AreaLayer {
  show(areas: readonly ReviewedArea[]): void;
}

/** Add it below the buildings: a quiet tint with a dashed edge, or crossed lines. */
export function addAreaLayer(map: MapLibreMap): AreaLayer {
  map.addImage(HATCH, crossHatch());
  map.addSource(SOURCE, { type: "geojson", data: { type: "FeatureCollection", features: [] } });
  map.addLayer({
    id: `${SOURCE}-fill`,
    type: "fill",
    source: SOURCE,
    filter: ["==", ["get", "kind"], "reviewed"],
    paint: { "fill-color": "#22d3ee", "fill-opacity": 0.06 },
  });
  map.addLayer({
    id: `${SOURCE}-hatch`,
    type: "fill",
    source: SOURCE,
    filter: ["==", ["get", "kind"], "not_assessable"],
    paint: { "fill-pattern": HATCH },
  });
  map.addLayer({
    id: `${SOURCE}-line`,
    type: "line",
    source: SOURCE,
    paint: {
      "line-color": ["match", ["get", "kind"], "reviewed", "#a5f3fc", "#e2e8f0"],
      "line-width": 2,
      "line-dasharray": [3, 2],
    },
  });
  return {
    show(areas) {
      map.getSource<GeoJSONSource>(SOURCE)?.setData({
        type: "FeatureCollection",
        features: areas.map(({ id, outline, kind }) => ({
          type: "Feature",
          geometry: outline,
          properties: { id, kind },
        })),
      });
    },
  };
}

/** Two diagonals, unlike the one of ground without pixels, on a shade. */
function crossHatch(): { width: number; height: number; data: Uint8Array } {
  const data = new Uint8Array(4 * HATCH_PX * HATCH_PX);
  for (let row = 0; row < HATCH_PX; row++) {
    for (let column = 0; column < HATCH_PX; column++) {
      const line = column === row || column === HATCH_PX - 1 - row;
      data.set(line ? LINE : SHADE, 4 * (row * HATCH_PX + column));
    }
  }
  return { width: HATCH_PX, height: HATCH_PX, data };
}
