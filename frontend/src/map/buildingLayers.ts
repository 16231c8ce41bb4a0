/**
 * Buildings on the map: vector tiles for all of them, and above those a small layer of the ones that
 * changed since the page was opened, so that a decision shows at once and no tile is asked for again.
 */
import type {
  ExpressionSpecification,
  FilterSpecification,
  GeoJSONSource,
  Map as MapLibreMap,
  VectorTileSource,
} from "maplibre-gl";

import type { Building } from "../api/types";
import { ALL_GRADES, DARK, GRADE_COLOURS, LIGHT } from "../geo/grades";
import { isFlagged } from "../review/workbench";
import { addGradeImages } from "./badges";
import { addDots } from "./dotLayer";
import { createNearby, type Changed } from "./nearby";

const NOTHING: GeoJSON.FeatureCollection = { type: "FeatureCollection", features: [] };
const TILES = "buildings";
const CHANGED = "changed";
const GLYPHS_FROM_ZOOM = 16; // farther out, badges and hatches would hide the houses
const WHOLE = 512; // a tile all round: a building that two tiles cut would have a badge in each
const HATCH_SHARE = 1.5; // of the fill's opacity: strokes cover little

export interface View {
  minScore: number;
  opacity: number;
  showRejected: boolean;
}

export interface BuildingLayers {
  /** Show this state of a building instead of what the tiles say. */
  put(building: Building): void;
  /** Forget a building that was put and never was. */
  drop(uid: string): void;
  /** Take the building off the map while it is being redrawn; null brings it back. */
  lift(uid: string | null): void;
  select(uid: string | null): void;
  look(view: View): void;
  /** Ask for all tiles again; what changed since the page was opened is in them. */
  reload(): void;
}

const byGrade = [
  "match",
  ["get", "grade"],
  ...ALL_GRADES.flatMap((grade) => [grade, GRADE_COLOURS[grade]]),
  GRADE_COLOURS.unclassified,
] as unknown as ExpressionSpecification;

const REVIEW: ExpressionSpecification = ["get", "review"];

/** See `Look` in badges.ts. */
const look: ExpressionSpecification = [
  "match",
  REVIEW,
  ["unreviewed", "unsure", "rejected"],
  ["case", ["==", REVIEW, "unreviewed"], "open", REVIEW],
  "reviewed",
];

const badge: ExpressionSpecification = [
  "concat",
  "badge-",
  ["get", "grade"],
  "-",
  look,
  ["case", ["boolean", ["get", "flagged"], false], "-flagged", ""],
];

const hatch: ExpressionSpecification = ["concat", "hatch-", ["get", "grade"]];

/** What nobody is sure of has a dashed outline, what is no building a dotted one. */
const dashes = [
  "match",
  REVIEW,
  "unsure",
  ["literal", [2, 1.2]],
  "rejected",
  ["literal", [0.6, 1]],
  ["literal", [1, 0]],
] as unknown as ExpressionSpecification;

const state = (name: string): ExpressionSpecification => [
  "boolean",
  ["feature-state", name],
  false,
];

/** This much, or nothing where a newer state of the building is drawn elsewhere. */
const unlessHidden = (opacity: number | ExpressionSpecification): ExpressionSpecification => [
  "case",
  state("hidden"),
  0,
  opacity,
];

const unlessRejected = (opacity: number, rejected: number): ExpressionSpecification => [
  "case",
  ["==", ["get", "review"], "rejected"],
  rejected,
  opacity,
];

/** Not on the building that is being looked at: strokes would hide its roof. */
const hatched = (fill: number): ExpressionSpecification =>
  unlessHidden([
    "case",
    state("selected"),
    0,
    unlessRejected(Math.min(1, HATCH_SHARE * fill), 0),
  ]);

const byZoom = (far: number, near: number): ExpressionSpecification => [
  "interpolate",
  ["linear"],
  ["zoom"],
  14,
  far,
  18,
  near,
];

/** Whatever a person has looked at shows at every score. */
function filterFor({ minScore, showRejected }: View): FilterSpecification {
  const shown: unknown[] = [
    "any",
    ["!=", ["get", "review"], "unreviewed"],
    [">=", ["coalesce", ["get", "score"], 1], minScore],
  ];
  // What was split or merged away lives on in its history alone.
  const gone = showRejected ? ["replaced"] : ["replaced", "rejected"];
  return ["all", ["!", ["in", REVIEW, ["literal", gone]]], shown] as unknown as FilterSpecification;
}

/** Add everything to a loaded map. `onPick` hears which building was clicked, or null beside all. */
export function addBuildingLayers(
  map: MapLibreMap,
  assessment: string,
  onPick: (uid: string | null) => void,
): BuildingLayers {
  const hiddenTiles = new Set<string>();
  let selected: string | null = null;
  let lifted: string | null = null;
  let round = 0;

  const tiles = (): string[] => [
    `${location.origin}/api/v1/tiles/assessments/${assessment}/{z}/{x}/{y}.mvt?round=${++round}-${Date.now()}`,
  ];

  addGradeImages(map);
  map.addSource(TILES, { type: "vector", tiles: tiles(), promoteId: "uid", maxzoom: 20 });
  map.addSource(CHANGED, { type: "geojson", data: NOTHING, promoteId: "uid", buffer: WHOLE });
  const dots = addDots(map, TILES, byGrade);
  const layers = [dots, ...addLayersOf(map, TILES, "buildings"), ...addLayersOf(map, CHANGED, null)];

  const mark = (uid: string, mark: { selected?: boolean; hidden?: boolean }): void => {
    map.setFeatureState({ source: TILES, sourceLayer: "buildings", id: uid }, mark);
    map.setFeatureState({ source: CHANGED, id: uid }, mark);
  };
  const hideTile = (uid: string, hidden: boolean): void => {
    map.setFeatureState({ source: TILES, sourceLayer: "buildings", id: uid }, { hidden });
  };
  const drawn = (): GeoJSONSource | undefined => map.getSource<GeoJSONSource>(CHANGED);
  const changed = createNearby(
    {
      replace: (features) => void drawn()?.setData({ type: "FeatureCollection", features }),
      add: (one) => void drawn()?.updateData({ add: [one] }),
      remove: (uid) => void drawn()?.updateData({ remove: [uid] }),
    },
    () => {
      const box = map.getBounds();
      return [box.getWest(), box.getSouth(), box.getEast(), box.getNorth()];
    },
  );
  map.on("move", changed.moved);
  map.on("resize", changed.moved);

  map.on("click", (event) => {
    const fills = layers.filter((id) => id.endsWith("-fill"));
    const hits = map
      .queryRenderedFeatures(event.point, { layers: fills })
      .filter(({ state }) => state["hidden"] !== true);
    const uid: unknown = hits[0]?.properties["uid"];
    onPick(typeof uid === "string" ? uid : null);
  });
  for (const layer of layers.filter((id) => id.endsWith("-fill"))) {
    map.on("mouseenter", layer, () => (map.getCanvas().style.cursor = "pointer"));
    map.on("mouseleave", layer, () => (map.getCanvas().style.cursor = ""));
  }

  return {
    put(building) {
      hiddenTiles.add(building.uid);
      hideTile(building.uid, true);
      changed.put(feature(building));
      if (selected === building.uid) mark(building.uid, { selected: true });
    },
    drop(uid) {
      changed.drop(uid);
    },
    lift(uid) {
      if (lifted !== null) {
        map.setFeatureState({ source: CHANGED, id: lifted }, { hidden: false });
        hideTile(lifted, hiddenTiles.has(lifted));
      }
      if (uid !== null) mark(uid, { hidden: true });
      lifted = uid;
    },
    select(uid) {
      if (selected !== null) mark(selected, { selected: false });
      if (uid !== null) mark(uid, { selected: true });
      selected = uid;
    },
    look(view) {
      for (const layer of layers) map.setFilter(layer, filterFor(view));
      for (const source of [TILES, CHANGED]) {
        const fill = unlessHidden(unlessRejected(view.opacity, 0));
        map.setPaintProperty(`${source}-fill`, "fill-opacity", fill);
        map.setPaintProperty(`${source}-hatch`, "fill-opacity", hatched(view.opacity));
      }
    },
    reload() {
      for (const uid of hiddenTiles) hideTile(uid, false);
      hiddenTiles.clear();
      changed.clear();
      map.getSource<VectorTileSource>(TILES)?.setTiles(tiles());
    },
  };
}

/**
 * Fill, hatch, a dark and a light casing of which one stands out on any imagery, the coloured
 * line, the badge.
 */
function addLayersOf(map: MapLibreMap, source: string, sourceLayer: string | null): string[] {
  const from = { source, ...(sourceLayer === null ? {} : { "source-layer": sourceLayer }) };
  const line = (
    part: string,
    color: string | ExpressionSpecification,
    width: ExpressionSpecification,
    opacity: ExpressionSpecification,
    dash?: ExpressionSpecification,
  ): string => {
    const id = `${source}-${part}`;
    map.addLayer({
      id,
      type: "line",
      ...from,
      layout: { "line-join": "round" },
      paint: {
        "line-color": color,
        "line-width": width,
        "line-opacity": unlessHidden(opacity),
        ...(dash ? { "line-dasharray": dash } : {}),
      },
    });
    return id;
  };
  map.addLayer({
    id: `${source}-fill`,
    type: "fill",
    ...from,
    paint: { "fill-color": byGrade, "fill-opacity": 0.3 },
  });
  map.addLayer({
    id: `${source}-hatch`,
    type: "fill",
    ...from,
    minzoom: GLYPHS_FROM_ZOOM,
    paint: { "fill-pattern": hatch, "fill-opacity": hatched(0.3) },
  });
  const outlines = [
    line("picked", "#22d3ee", byZoom(7, 14), ["case", state("selected"), 1, 0]),
    line("dark", DARK, byZoom(2.6, 6.4), unlessRejected(1, 0.8)),
    line("light", LIGHT, byZoom(1.8, 4.4), unlessRejected(1, 0.8), dashes),
    line("grade", byGrade, byZoom(0.9, 2.2), unlessRejected(1, 0), dashes),
  ];
  map.addLayer({
    id: `${source}-badge`,
    type: "symbol",
    ...from,
    minzoom: GLYPHS_FROM_ZOOM,
    layout: { "icon-image": badge, "icon-size": 0.85, "icon-padding": 0 },
    paint: { "icon-opacity": unlessHidden(1) },
  });
  return [`${source}-fill`, `${source}-hatch`, ...outlines, `${source}-badge`];
}

function feature(building: Building): Changed {
  const { uid, outline, grade, score, review, source, version } = building;
  const known = { uid, grade, review, source, version, flagged: isFlagged(building) };
  const properties = { ...known, ...(score === null ? {} : { score }) };
  return { type: "Feature", geometry: outline, properties };
}
