/** Areas in which somebody has looked at everything. */
import type { GeoJSONSource, Map as MapLibreMap } from "maplibre-gl";

import type { ReviewedArea } from "../api/types";

const SOURCE = "reviewed-areas";

export interface AreaLayer {
  show(areas: readonly ReviewedArea[]): void;
}

/** Add it below the buildings: a quiet tint and a dashed edge. */
export function addAreaLayer(map: MapLibreMap): AreaLayer {
  map.addSource(SOURCE, { type: "geojson", data: { type: "FeatureCollection", features: [] } });
  map.addLayer({
    id: `${SOURCE}-fill`,
    type: "fill",
    source: SOURCE,
    paint: { "fill-color": "#22d3ee", "fill-opacity": 0.06 },
  });
  map.addLayer({
    id: `${SOURCE}-line`,
    type: "line",
    source: SOURCE,
    paint: { "line-color": "#a5f3fc", "line-width": 2, "line-dasharray": [3, 2] },
  });
  return {
    show(areas) {
      map.getSource<GeoJSONSource>(SOURCE)?.setData({
        type: "FeatureCollection",
        features: areas.map(({ id, outline }) => ({
          type: "Feature",
          geometry: outline,
          properties: { id },
        })),
      });
    },
  };
}
