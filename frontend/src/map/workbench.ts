/** The map of the review page. Its code is the largest part of the page, and comes last. */
import { Marker, type LngLat, type Map as MapLibreMap } from "maplibre-gl";

import { element } from "../entries/page";
import type { Bounds } from "../geo/outline";
import { ground } from "../review/ground";
import { addressOf, type Looks } from "../review/looks";
import type { Session } from "../review/session";
import { views } from "../review/views";
import { afterPaint, nextFrame } from "./afterPaint";
import { addAreaLayer } from "./areaLayer";
import { addBuildingLayers } from "./buildingLayers";
import { createChorus, type Chorus } from "./chorus";
import { compareOn, followLook } from "./compare";
import { addFilterLayer } from "./filterLayer";
import { addGapLayer } from "./gapLayer";
import { addImagery } from "./imagery";
import { addPeerLayer } from "./peerLayer";
import { createPen } from "./pen";
import { corners, openMap, sayUntold } from "./start";
import { addTeamLayer } from "./teamLayer";

const NEAR_ZOOM = 18.5; // a building of 10 m is some 60 pixels wide
const DRAWING_ZOOM = 20.5;
const MARKED_MS = 10_000; // for how long a place that was gone to is marked

/** How the images after and before are looked at; null where there is none. */
export interface AllLooks {
  readonly after: Looks;
  readonly before: Looks | null;
}

/** Open the map and give it to the session. Fails where the browser cannot draw one. */
export async function openWorkbench(session: Session, looks: AllLooks): Promise<void> {
  const { scene, before_scene, bounds } = session.page;
  const wide = innerWidth > 960; // px; as in map.css, where the legend then lies beside the scene
  const host = element("map");
  const map = await openMap(host, bounds, wide ? { left: 240, top: 32 } : { left: 0, top: 0 });

  const chorus = createChorus();
  const dress = (on: MapLibreMap): (() => void) => addOverlays(on, session, chorus);
  const blinking = (): boolean => views.store.now.blinking;
  const after = addImagery(map, "after", bounds, addressOf(scene, looks.after.store.now));
  const fades = [followedBy(after, scene, looks.after, () => (blinking() ? 0 : 1))];
  const fetchBefore = (): void => {
    if (!before_scene || !looks.before) return;
    const before = addImagery(map, "before", bounds, addressOf(before_scene, looks.before.store.now));
    fades.push(followedBy(before, before_scene, looks.before, () => (blinking() ? 1 : 0)));
    map.once("idle", () => views.store.set({ loaded: true }));
  };
  dress(map);
  session.teams.see(addTeamLayer(map));
  const sight = { ...chorus, ...addPeerLayer(map), ...travel(map) };
  session.see(afterPaint(sight, afterFrame(map, host)), createPen(map));
  map.on("moveend", () => void session.refreshList());
  map.on("moveend", session.moved);
  follow(map, session, bounds);

  views.store.watch((now, was) => {
    if (now.wanted && !was.wanted) fetchBefore();
    if (now.blinking !== was.blinking) for (const fade of fades) fade();
  });
  session.store.watch(({ drawing }) => {
    const is = drawing !== null;
    if (is !== views.store.now.drawing) views.store.set({ drawing: is });
  });
  views.store.set({ ready: true });
  if (before_scene && looks.before) {
    compareOn(map, host, { scene: before_scene, bounds, looks: looks.before }, (on) => {
      const undress = dress(on);
      on.on("mousemove", ({ lngLat }) => ground.set({ pointer: lngLat }));
      return undress;
    });
  }
}

/** How the map waits for the panels; it says meanwhile that it is busy, and when it is no more. */
function afterFrame(map: MapLibreMap, host: HTMLElement) {
  return (flush: () => void): void => {
    const told = sayUntold(host);
    nextFrame(() => {
      flush();
      told();
      map.triggerRepaint();
    });
  };
}

/** Let a layer follow its look; returns how to fade it again when the share has changed. */
function followedBy(layer: ReturnType<typeof addImagery>, scene: string, looks: Looks, share: () => number): () => void {
  followLook(layer, { scene, looks }, share);
  return () => layer.fade((looks.store.now.opacity / 100) * share());
}

/** Everything that is drawn over imagery, on one of the maps. */
function addOverlays(map: MapLibreMap, session: Session, chorus: Chorus): () => void {
  const gaps = addGapLayer(map);
  const areas = addAreaLayer(map);
  const filter = addFilterLayer(map);
  const buildings = addBuildingLayers(map, session.page.id, (uid) => {
    if (session.store.now.progress?.state === "done") void session.pick(uid);
  });
  return chorus.join({
    ...buildings,
    showAreas: (all) => areas.show(all),
    showGaps: (all) => gaps.show(all),
    showFilter: (area) => filter.show(area),
  });
}

/** How the session moves the map, and asks where it is. */
function travel(map: MapLibreMap) {
  let before: { center: LngLat; zoom: number } | null = null;
  return {
    goTo(bounds: Bounds, close: boolean): void {
      before = close ? { center: map.getCenter(), zoom: map.getZoom() } : null;
      const maxZoom = close ? DRAWING_ZOOM : NEAR_ZOOM;
      const padding = Math.min(120, map.getContainer().clientWidth / 5); // half a map is narrow
      map.fitBounds(corners(bounds), { maxZoom, padding, duration: 300 });
    },
    stepBack(): void {
      if (before) map.easeTo({ ...before, duration: 300 });
      before = null;
    },
    bounds: (): Bounds => boundsOf(map),
    centre: (): [number, number] => map.getCenter().toArray(),
  };
}

/** Say where the map and the pointer are, and let panels move it. */
function follow(map: MapLibreMap, session: Session, bounds: Bounds | null): void {
  const view = (): void => ground.set({ bounds: boundsOf(map), centre: map.getCenter() });
  map.on("move", view);
  map.on("resize", view);
  map.on("mousemove", ({ lngLat }) => ground.set({ pointer: lngLat }));
  view();
  let marker: Marker | null = null;
  ground.mover = {
    to(place) {
      marker?.remove();
      const mark = document.createElement("div");
      mark.className = "marked-place";
      const made = (marker = new Marker({ element: mark }).setLngLat([place.lng, place.lat]).addTo(map));
      setTimeout(() => made.remove(), MARKED_MS);
      map.easeTo({ center: [place.lng, place.lat], zoom: Math.max(NEAR_ZOOM, map.getZoom()), duration: 300 });
    },
    centreOn: (place) => map.easeTo({ center: [place.lng, place.lat], duration: 300 }),
    by(east, north) {
      const { clientWidth, clientHeight } = map.getContainer();
      map.panBy([east * clientWidth, -north * clientHeight], { duration: 150 });
    },
    byPixels: (right_px, down_px) => void map.panBy([right_px, down_px], { duration: 150 }),
    whole() {
      if (bounds) map.fitBounds(corners(bounds), { padding: 24, duration: 300 });
      else session.store.set({ message: { text: "Where this image ends is not known.", bad: true } });
    },
  };
}

function boundsOf(map: MapLibreMap): Bounds {
  const box = map.getBounds();
  return [box.getWest(), box.getSouth(), box.getEast(), box.getNorth()];
}
