/** Drawing: one polygon at a time, new or given, with corners to drag. */
import type { Polygon } from "geojson";
import type { Map as MapLibreMap } from "maplibre-gl";
import { TerraDraw, TerraDrawPolygonMode, TerraDrawSelectMode } from "terra-draw";
import { TerraDrawMapLibreGLAdapter } from "terra-draw-maplibre-gl-adapter";

import { tidied } from "../geo/outline";

const INK = "#22d3ee";
/** A click this near a corner means the corner, in screen pixels; a small house has 30. */
const CLOSE_PX = 12;

export interface Pen {
  /** Start a new polygon; `onOutline` hears of it when it is closed and whenever it is moved. */
  draw(onOutline: (outline: Polygon) => void): void;
  /** Edit this polygon's corners. */
  edit(outline: Polygon, onOutline: (outline: Polygon) => void): void;
  putDown(): void;
}

export function createPen(map: MapLibreMap): Pen {
  const draw = new TerraDraw({
    adapter: new TerraDrawMapLibreGLAdapter({ map, prefixId: "pen" }),
    modes: [
      new TerraDrawPolygonMode({
        pointerDistance: CLOSE_PX,
        styles: {
          fillColor: INK, fillOpacity: 0.15, outlineColor: INK, outlineWidth: 3,
          closingPointColor: "#ffffff", closingPointOutlineColor: INK, closingPointWidth: 6,
        },
      }),
      new TerraDrawSelectMode({
        pointerDistance: CLOSE_PX,
        flags: {
          polygon: {
            feature: {
              draggable: true,
              coordinates: { draggable: true, midpoints: true, deletable: true },
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
  let hear: ((outline: Polygon) => void) | null = null;
  let drawn: string | number | null = null;

  const tell = (): void => {
    const geometry = drawn === null ? undefined : draw.getSnapshotFeature(drawn)?.geometry;
    if (geometry?.type === "Polygon") hear?.(tidied(geometry));
  };
  const select = (id: string | number): void => {
    drawn = id;
    draw.setMode("select");
    draw.selectFeature(id);
    tell();
  };
  const pickUp = (onOutline: (outline: Polygon) => void): void => {
    if (!draw.enabled) draw.start();
    draw.clear();
    drawn = null;
    hear = onOutline;
    map.doubleClickZoom.disable();
  };

  draw.on("finish", (id, { action }) => {
    // Terra Draw is still busy with this very event; changing its mode now would confuse it.
    if (action === "draw") queueMicrotask(() => select(id));
    else tell();
  });

  return {
    draw(onOutline) {
      pickUp(onOutline);
      draw.setMode("polygon");
    },
    edit(outline, onOutline) {
      pickUp(onOutline);
      const [added] = draw.addFeatures([
        { type: "Feature", geometry: tidied(outline), properties: { mode: "polygon" } },
      ]);
      if (added?.id !== undefined && added.valid) select(added.id);
    },
    putDown() {
      hear = null;
      drawn = null;
      if (draw.enabled) draw.stop();
      map.doubleClickZoom.enable();
    },
  };
}
