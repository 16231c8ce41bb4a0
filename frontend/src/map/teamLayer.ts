/** Review areas: a border by state, and a label in words. Drawn here, as no font comes from elsewhere. */
import type { ExpressionSpecification, GeoJSONSource, Map as MapLibreMap } from "maplibre-gl";
import type { Position } from "geojson";

import type { TeamArea } from "../api/teams";

const SOURCE = "team-areas";
const LABELS = "team-labels";
const FONT = "600 22px system-ui, sans-serif"; // at two pixels per point
const ROOM = 10; // pixels round the words
const HEIGHT = 36;

export interface TeamLayer {
  show(areas: readonly TeamArea[]): void;
}

/** In words: whose it is, and how far. Also what the list beside the map says. */
export function standing({ state, holder, mine, expired, kept_for, kept_for_me }: TeamArea): string {
  if (state === "finished") return `finished by ${mine ? "you" : (holder ?? "a former user")}`;
  if (state === "claimed" && mine) return "yours";
  if (state === "claimed") return expired ? `${holder ?? "nobody"}, silent` : `${holder ?? "a former user"}`;
  if (kept_for) return kept_for_me ? "kept for you" : `kept for ${kept_for}`;
  return "free";
}

export function addTeamLayer(map: MapLibreMap): TeamLayer {
  for (const source of [SOURCE, LABELS]) {
    map.addSource(source, { type: "geojson", data: { type: "FeatureCollection", features: [] } });
  }
  const width = (mine: number, other: number): ExpressionSpecification => [
    "case", ["get", "mine"], mine, other,
  ];
  map.addLayer({
    id: `${SOURCE}-dark`,
    type: "line",
    source: SOURCE,
    paint: { "line-color": "#10151c", "line-width": width(6, 4), "line-opacity": 0.8 },
  });
  const lines: [string, string, number[] | null][] = [
    ["free", "#ffffff", [2, 2]],
    ["claimed", "#f5c66b", null],
    ["finished", "#7fd6a4", [6, 1]],
  ];
  for (const [state, color, dashes] of lines) {
    map.addLayer({
      id: `${SOURCE}-${state}`,
      type: "line",
      source: SOURCE,
      filter: ["==", ["get", "state"], state],
      paint: {
        "line-color": color,
        "line-width": width(3.5, 1.8),
        ...(dashes ? { "line-dasharray": dashes } : {}),
      },
    });
  }
  map.addLayer({
    id: LABELS,
    type: "symbol",
    source: LABELS,
    layout: {
      "icon-image": ["get", "image"],
      "icon-anchor": "top-left",
      "icon-offset": [3, 3],
      "icon-padding": 0,
      "icon-allow-overlap": true, // whose area it is must not depend on what lies under the words
      "icon-ignore-placement": true,
      "symbol-sort-key": ["case", ["get", "mine"], 0, 1],
    },
  });
  return {
    show(areas) {
      map.getSource<GeoJSONSource>(SOURCE)?.setData({
        type: "FeatureCollection",
        features: areas.map(({ id, outline, state, mine }) => ({
          type: "Feature",
          geometry: outline,
          properties: { id, state, mine: mine && state === "claimed" },
        })),
      });
      map.getSource<GeoJSONSource>(LABELS)?.setData({
        type: "FeatureCollection",
        features: areas.map((one) => ({
          type: "Feature",
          geometry: { type: "Point", coordinates: northWest(one.outline.coordinates[0] ?? []) },
          properties: { image: label(map, one), mine: one.mine },
        })),
      });
    },
  };
}

/** The corner where a label is looked for. */
const northWest = (ring: readonly Position[]): Position =>
  ring.reduce((best, one) => ((one[0] ?? 0) - (one[1] ?? 0) < (best[0] ?? 0) - (best[1] ?? 0) ? one : best), ring[0] ?? [0, 0]);

/** The name of an image with the words, made when it is first needed. */
function label(map: MapLibreMap, area: TeamArea): string {
  const words = `${area.label}: ${standing(area)}`;
  const name = `team-label-${words}`;
  if (map.hasImage(name)) return name;
  const canvas = document.createElement("canvas");
  const pen = canvas.getContext("2d");
  if (!pen) throw new Error("This browser draws no labels.");
  pen.font = FONT;
  canvas.width = Math.ceil(pen.measureText(words).width) + 2 * ROOM;
  canvas.height = HEIGHT;
  pen.font = FONT; // a canvas forgets it with its size
  pen.fillStyle = "rgb(16 21 28 / 82%)";
  pen.fillRect(0, 0, canvas.width, HEIGHT);
  pen.fillStyle = "#ffffff";
  pen.textBaseline = "middle";
  pen.fillText(words, ROOM, HEIGHT / 2 + 1);
  map.addImage(name, pen.getImageData(0, 0, canvas.width, HEIGHT), { pixelRatio: 2 });
  return name;
}
