/** Drawing: one outline or line at a time, new or given, with corners to move by pointer or by key. */
import type { LineString, Polygon, Position } from "geojson";
import type { FilterSpecification, GeoJSONSource, Map as MapLibreMap } from "maplibre-gl";
import {
  TerraDraw,
  TerraDrawLineStringMode,
  TerraDrawPolygonMode,
  TerraDrawSelectMode,
  type SnapToCustom,
} from "terra-draw";
import { TerraDrawMapLibreGLAdapter } from "terra-draw-maplibre-gl-adapter";

import { boundsOf, tidied } from "../geo/outline";
import { closed, cornersOf, metresPerDegree, type Point } from "../geo/plane";
import type { DrawingTool, HearOutline } from "../review/state";

const INK = "#22d3ee";
/** A click this near a corner means the corner, in screen pixels; a small house has 30, a fingertip 44. */
const CLOSE_PX = matchMedia("(pointer: coarse)").matches ? 22 : 12;
/** A corner this near a neighbour's goes onto it, in screen pixels. */
const SNAP_PX = 10;
const SNAP_M = 1.5; // and never from farther off on the ground, however small the houses are shown
const PAN_PX = 8; // of the map under the cross, for each pixel asked for: a house is 50 px away
const GUIDES = "pen-guides";

export function createPen(map: MapLibreMap): DrawingTool {
  let neighbours: readonly Polygon[] = [];
  const toCustom: SnapToCustom = ({ lng, lat }, { project }) => {
    const here = project(lng, lat);
    const far = (x: number, y: number): number => Math.hypot(project(x, y).x - here.x, project(x, y).y - here.y);
    const perMetre = far(lng, lat + 1 / metresPerDegree(lat)[1]);
    return snapped([lng, lat], neighbours, far, Math.min(SNAP_PX, SNAP_M * perMetre));
  };
  const snapping = { toCustom };
  const draw = new TerraDraw({
    adapter: new TerraDrawMapLibreGLAdapter({ map, prefixId: "pen" }),
    modes: [
      new TerraDrawPolygonMode({
        pointerDistance: CLOSE_PX,
        snapping,
        styles: {
          fillColor: INK, fillOpacity: 0.15, outlineColor: INK, outlineWidth: 3,
          closingPointColor: "#ffffff", closingPointOutlineColor: INK, closingPointWidth: 6,
        },
      }),
      new TerraDrawLineStringMode({
        pointerDistance: CLOSE_PX,
        styles: {
          lineStringColor: INK, lineStringWidth: 3,
          closingPointColor: "#ffffff", closingPointOutlineColor: INK, closingPointWidth: 6,
        },
      }),
      new TerraDrawSelectMode({
        pointerDistance: CLOSE_PX,
        keyEvents: null, // ours: Delete removes the chosen corner, never the outline
        flags: {
          polygon: {
            feature: {
              draggable: true,
              coordinates: { draggable: true, midpoints: true, deletable: true, snappable: snapping },
            },
          },
        },
        styles: {
          selectedPolygonColor: INK, selectedPolygonFillOpacity: 0.15,
          selectedPolygonOutlineColor: INK, selectedPolygonOutlineWidth: 3,
          selectionPointColor: "#ffffff", selectionPointOutlineColor: INK,
          selectionPointWidth: 6, midPointColor: INK, midPointWidth: 4,
        },
      }),
    ],
  });
  const guides = createGuides(map);
  let hear: HearOutline | null = null;
  let hearLine: ((line: readonly Position[]) => void) | null = null;
  let letGo: (() => void) | null = null;
  let drawn: string | number | null = null;
  let outline: Polygon | null = null;
  let chosen: number | null = null;

  const tell = (): void => {
    const geometry = drawn === null ? undefined : draw.getSnapshotFeature(drawn)?.geometry;
    if (geometry?.type !== "Polygon") return;
    const before = outline;
    outline = tidied(geometry);
    if (before) chosen = movedCorner(before, outline) ?? chosen;
    if (chosen !== null && chosen >= cornersOf(outline).length) chosen = null;
    guides.mark(chosen === null ? null : (cornersOf(outline)[chosen] ?? null));
    hear?.(outline, chosen);
  };
  const select = (id: string | number): void => {
    drawn = id;
    draw.setMode("select");
    draw.selectFeature(id);
    tell();
  };
  const pickUp = (): void => {
    letGo?.();
    letGo = null;
    if (!draw.enabled) draw.start();
    draw.setMode("static");
    draw.clear();
    [drawn, outline] = [null, null];
    map.doubleClickZoom.disable();
  };
  const endLine = ({ coordinates }: LineString): void => {
    draw.setMode("static"); // the line is drawn: Enter saves now
    guides.cross(false);
    hearLine?.(coordinates);
  };
  const put = (polygon: Polygon): void => {
    const keep = hear;
    pickUp();
    hear = keep;
    const [added] = draw.addFeatures([
      { type: "Feature", geometry: tidied(polygon), properties: { mode: "polygon" } },
    ]);
    if (added?.id !== undefined && added.valid) select(added.id);
  };

  draw.on("finish", (id, { action }) => {
    const geometry = draw.getSnapshotFeature(id)?.geometry;
    // Terra Draw is still busy with this very event; changing its mode now would confuse it.
    if (geometry?.type === "LineString") queueMicrotask(() => endLine(geometry));
    else if (action === "draw") queueMicrotask(() => select(id));
    else tell();
  });

  const sketching = (): boolean => draw.enabled && ["polygon", "linestring"].includes(draw.getMode());

  return {
    draw(onOutline) {
      pickUp();
      [hear, hearLine, chosen] = [onOutline, null, null];
      draw.setMode("polygon");
      guides.cross(true);
    },
    drawLine(onLine) {
      pickUp();
      [hear, hearLine, chosen] = [null, onLine, null];
      draw.setMode("linestring");
      guides.cross(true);
    },
    edit(polygon, onOutline) {
      [hear, hearLine, chosen] = [onOutline, null, null];
      put(polygon);
    },
    rest() {
      pickUp();
      [hear, chosen] = [null, null];
      guides.mark(null);
    },
    reshape(polygon) {
      chosen = null;
      put(polygon);
    },
    snapTo(outlines) {
      neighbours = outlines;
    },
    preview: guides.preview,
    sketching,
    choose(step) {
      if (!outline) return;
      const count = cornersOf(outline).length;
      chosen = chosen === null ? (step > 0 ? 0 : count - 1) : (chosen + step + count + 1) % (count + 1);
      if (chosen === count) chosen = null; // after the last one comes the whole outline
      guides.mark(chosen === null ? null : (cornersOf(outline)[chosen] ?? null));
      hear?.(outline, chosen);
    },
    nudge(east_px, north_px) {
      if (sketching()) return void map.panBy([east_px * PAN_PX, -north_px * PAN_PX], { duration: 0 });
      if (!outline) return;
      const kept = chosen;
      const corners = cornersOf(outline).map((corner, i) =>
        kept === null || kept === i ? pushed(map, corner, east_px, north_px) : corner,
      );
      put(closed(corners));
      chosen = kept;
      tell();
    },
    insertCorner() {
      if (!outline || chosen === null) return;
      const corners = cornersOf(outline);
      const [ax = 0, ay = 0] = corners[chosen] ?? [];
      const [bx = 0, by = 0] = corners[(chosen + 1) % corners.length] ?? [];
      const at = chosen + 1;
      put(closed([...corners.slice(0, at), [(ax + bx) / 2, (ay + by) / 2], ...corners.slice(at)]));
      chosen = at;
      tell();
    },
    deleteCorner() {
      if (!outline || chosen === null || cornersOf(outline).length < 4) return;
      const gone = chosen;
      chosen = null;
      put(closed(cornersOf(outline).filter((_, i) => i !== gone)));
    },
    cornerAtCross() {
      if (sketching()) clickInTheMiddle(map);
    },
    finish() {
      if (!sketching()) return;
      map.getCanvas().dispatchEvent(new KeyboardEvent("keyup", { key: "Enter" })); // Terra Draw's own key
    },
    dragAll(onDrag) {
      letGo?.();
      draw.setMode("static");
      draw.clear();
      guides.cross(false);
      letGo = listenToDrags(map, onDrag);
    },
    putDown() {
      letGo?.();
      letGo = null;
      [hear, hearLine, drawn, outline, chosen] = [null, null, null, null, null];
      neighbours = [];
      if (draw.enabled) draw.stop();
      guides.clear();
      map.doubleClickZoom.enable();
    },
  };
}

/** The corner that differs, if just one does: it was dragged, so it is the one that keys move next. */
function movedCorner(before: Polygon, after: Polygon): number | null {
  const [old, now] = [cornersOf(before), cornersOf(after)];
  if (old.length !== now.length) return null;
  const differ = now.flatMap(([x, y], i) => (old[i]?.[0] === x && old[i]?.[1] === y ? [] : [i]));
  return differ.length === 1 ? (differ[0] ?? null) : null;
}

function pushed(map: MapLibreMap, [x = 0, y = 0]: Position, east_px: number, north_px: number): Position {
  const { x: column, y: line } = map.project([x, y]);
  return map.unproject([column + east_px, line - north_px]).toArray();
}

/**
 * The neighbour's corner near by, or else the place on its edge; nothing where none is near.
 * `far` is how far a place is from `here`, and `most` how far it may be, both in screen pixels.
 */
export function snapped(
  here: Position,
  neighbours: readonly Polygon[],
  far: (x: number, y: number) => number,
  most: number,
): Position | undefined {
  const [x = 0, y = 0] = here;
  const near = neighbours.filter((one) => {
    const [west, south, east, north] = boundsOf(one);
    return far(Math.min(east, Math.max(west, x)), Math.min(north, Math.max(south, y))) <= most;
  });
  const rings = near.map((one) => one.coordinates[0] ?? []);
  const nearest = (places: readonly Position[]): Position | undefined =>
    places
      .map((place) => ({ place, px: far(place[0] ?? 0, place[1] ?? 0) }))
      .filter(({ px }) => px <= most)
      .sort((a, b) => a.px - b.px)[0]?.place;
  const edges = rings.flatMap((ring) => ring.slice(1).map((end, i) => onEdge(ring[i] as Position, end, here)));
  return nearest(rings.flat()) ?? nearest(edges);
}

function onEdge([ax = 0, ay = 0]: Position, [bx = 0, by = 0]: Position, [px = 0, py = 0]: Position): Position {
  const [perX, perY] = metresPerDegree(ay);
  const [dx, dy] = [(bx - ax) * perX, (by - ay) * perY];
  const length = dx * dx + dy * dy || 1;
  const at = Math.min(1, Math.max(0, ((px - ax) * perX * dx + (py - ay) * perY * dy) / length));
  return [ax + at * (bx - ax), ay + at * (by - ay)];
}

/** As a pointer would: so that keys and touch go the way that the mouse goes. */
function clickInTheMiddle(map: MapLibreMap): void {
  const canvas = map.getCanvas();
  const { left, top, width, height } = canvas.getBoundingClientRect();
  const at = {
    clientX: left + width / 2, clientY: top + height / 2, button: 0, isPrimary: true, pointerId: 1,
    bubbles: true, pointerType: "mouse",
  };
  canvas.dispatchEvent(new PointerEvent("pointermove", at));
  canvas.dispatchEvent(new PointerEvent("pointerdown", { ...at, buttons: 1 }));
  canvas.dispatchEvent(new PointerEvent("pointerup", at));
}

/** Metres east and north of where each drag began, and whether it has ended. */
function listenToDrags(map: MapLibreMap, onDrag: (way: Point, ended: boolean) => void): () => void {
  const canvas = map.getCanvas();
  let from: { lng: number; lat: number } | null = null;
  const place = ({ clientX, clientY }: PointerEvent) => {
    const { left, top } = canvas.getBoundingClientRect();
    return map.unproject([clientX - left, clientY - top]);
  };
  const move = (event: PointerEvent): void => {
    if (!from) return;
    const now = place(event);
    const [perX, perY] = metresPerDegree(from.lat);
    const way: Point = [(now.lng - from.lng) * perX, (now.lat - from.lat) * perY];
    onDrag(way, event.type === "pointerup");
    if (event.type === "pointerup") from = null;
  };
  const start = (event: PointerEvent): void => {
    from = event.isPrimary ? place(event) : null;
  };
  map.dragPan.disable();
  canvas.addEventListener("pointerdown", start);
  addEventListener("pointermove", move);
  addEventListener("pointerup", move);
  return () => {
    map.dragPan.enable();
    canvas.removeEventListener("pointerdown", start);
    removeEventListener("pointermove", move);
    removeEventListener("pointerup", move);
  };
}

interface Guides {
  preview(outlines: readonly Polygon[]): void;
  mark(corner: Position | null): void;
  cross(is: boolean): void;
  clear(): void;
}

/** What will be, the corner that keys move, and a cross in the middle where a key puts a corner. */
function createGuides(map: MapLibreMap): Guides {
  const cross = document.createElement("div");
  cross.className = "pen-cross";
  cross.hidden = true;
  map.getContainer().append(cross);
  map.addSource(GUIDES, { type: "geojson", data: { type: "FeatureCollection", features: [] } });
  let [previews, corner]: [readonly Polygon[], Position | null] = [[], null];
  const draw = (): void => {
    const outlines = previews.map((geometry) => ({ type: "Feature", geometry, properties: {} }) as const);
    const marks = corner
      ? [{ type: "Feature", geometry: { type: "Point", coordinates: corner }, properties: {} } as const]
      : [];
    map.getSource<GeoJSONSource>(GUIDES)?.setData({ type: "FeatureCollection", features: [...outlines, ...marks] });
    for (const layer of LAYERS) if (map.getLayer(layer)) map.moveLayer(layer); // above what is drawn
  };
  const LAYERS = [`${GUIDES}-dark`, `${GUIDES}-line`, `${GUIDES}-corner`];
  const line = { "line-join": "round" } as const;
  const polygons: FilterSpecification = ["==", ["geometry-type"], "Polygon"];
  map.addLayer({
    id: `${GUIDES}-dark`, type: "line", source: GUIDES, layout: line, filter: polygons,
    paint: { "line-color": "#10151c", "line-width": 5 },
  });
  map.addLayer({
    id: `${GUIDES}-line`, type: "line", source: GUIDES, layout: line, filter: polygons,
    paint: { "line-color": INK, "line-width": 2.5, "line-dasharray": [2, 1] },
  });
  map.addLayer({
    id: `${GUIDES}-corner`, type: "circle", source: GUIDES, filter: ["==", ["geometry-type"], "Point"],
    paint: {
      "circle-radius": 9, "circle-color": "#10151c", "circle-opacity": 0.2,
      "circle-stroke-color": "#ffffff", "circle-stroke-width": 3,
    },
  });
  return {
    preview(outlines) {
      previews = outlines;
      draw();
    },
    mark(place) {
      corner = place;
      cross.hidden = true; // there is an outline now
      draw();
    },
    cross(is) {
      cross.hidden = !is;
    },
    clear() {
      [previews, corner] = [[], null];
      cross.hidden = true;
      draw();
    },
  };
}
