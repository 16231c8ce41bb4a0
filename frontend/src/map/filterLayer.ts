/** The outline inside which the queue looks: nothing was said of that ground, so it has no tint. */
import type { Polygon } from "geojson";
import type { GeoJSONSource, Map as MapLibreMap } from "maplibre-gl";

const SOURCE = "queue-filter";

export interface FilterLayer {
  /** Null takes it away. */
  show(area: Polygon | null): void;
}

/** Add it below the buildings: long and short dashes of violet on a dark line, unlike any area's. */
export function addFilterLayer(map: MapLibreMap): FilterLayer {
  map.addSource(SOURCE, { type: "geojson", data: { type: "FeatureCollection", features: [] } });
  map.addLayer({
    id: `${SOURCE}-dark`,
    type: "line",
    source: SOURCE,
    paint: { "line-color": "#10151c", "line-width": 5, "line-opacity": 0.8 },
  });
  map.addLayer({
    id: `${SOURCE}-line`,
    type: "line",
    source: SOURCE,
    paint: { "line-color": "#d8b4fe", "line-width": 3, "line-dasharray": [5, 1.5, 1, 1.5] },
  });
  return {
    show(area) {
      map.getSource<GeoJSONSource>(SOURCE)?.setData({
        type: "FeatureCollection",
        features: area ? [{ type: "Feature", geometry: area, properties: {} }] : [],
      });
    },
  };
}
