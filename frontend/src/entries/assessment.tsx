/** The review page: imagery, buildings, decisions. */
import type { LngLat } from "maplibre-gl";
import { render } from "preact";
import "../styles/map.css";

import { assessment } from "../api/assessments";
import { listen } from "../api/live";
import type { AssessmentPage } from "../api/types";
import { addAreaLayer } from "../map/areaLayer";
import { addBuildingLayers } from "../map/buildingLayers";
import { addGapLayer } from "../map/gapLayer";
import { addPeerLayer } from "../map/peerLayer";
import { createPen } from "../map/pen";
import { addImagery, startMap } from "../map/start";
import { addTeamLayer } from "../map/teamLayer";
import { Legend } from "../panels/Legend";
import { Notices } from "../panels/Notices";
import { Saving } from "../panels/Saving";
import { Side } from "../panels/Side";
import { TablePanel } from "../panels/Table";
import { Tools } from "../panels/Tools";
import { listenToKeys } from "../review/keys";
import { createSession, type Session } from "../review/session";
import type { Views } from "../review/workbench";
import { element, pageData } from "./page";

const page = pageData<AssessmentPage>();
const session = createSession(page);

render(<Side session={session} />, element("side"));
render(<Legend session={session} />, element("legend"));
render(<Tools session={session} />, element("tools"));
render(<TablePanel session={session} />, element("table"));
render(<Notices session={session} />, element("notices"));
render(<Saving session={session} />, element("saving"));

listenToKeys(session);
let told = false; // by the stream; what was asked for before may arrive after it, and is older then
listen(page.id, {
  progress(now) {
    told = true;
    session.hearProgress(now);
  },
  decision: (change) => void session.hearDecision(change),
  reviewedArea: () => void session.refreshAreas(),
  presence: session.hearPeer,
  missed: session.hearMissed,
  team: () => session.teams.refreshSoon(),
  connected: session.hearConnection,
});
assessment(page.id).then(
  (now) => told || session.hearProgress(now),
  () => session.hearConnection(false),
);
void openMap(session);

session.store.watch(({ progress }) => {
  element("downloads").hidden = progress?.state !== "done";
});

async function openMap(session: Session): Promise<void> {
  const { scene, before_scene, bounds, id } = session.page;
  const wide = innerWidth > 960; // px; as in map.css, where the legend then lies beside the scene
  const room = wide ? { left: 240, top: 32 } : { left: 0, top: 0 };
  const map = await startMap(element("map"), { scene, bounds }, room);
  if (before_scene) {
    addImagery(map, "before", { scene: before_scene, bounds });
    map.setLayoutProperty("imagery-before", "visibility", "none");
  }
  const gaps = addGapLayer(map);
  const areas = addAreaLayer(map);
  session.teams.see(addTeamLayer(map));
  const layers = addBuildingLayers(map, id, (uid) => {
    if (session.store.now.progress?.state === "done") void session.pick(uid);
  });
  let before: { center: LngLat; zoom: number } | null = null;
  session.see(
    {
      ...layers,
      ...addPeerLayer(map),
      showAreas: (all) => areas.show(all),
      showGaps: (all) => gaps.show(all),
      goTo([west, south, east, north], close) {
        before = close ? { center: map.getCenter(), zoom: map.getZoom() } : null;
        const maxZoom = close ? 20.5 : 18.5;
        map.fitBounds([[west, south], [east, north]], { maxZoom, padding: 120, duration: 300 });
      },
      stepBack() {
        if (before) map.easeTo({ ...before, duration: 300 });
        before = null;
      },
      bounds() {
        const box = map.getBounds();
        return [box.getWest(), box.getSouth(), box.getEast(), box.getNorth()];
      },
      centre: () => map.getCenter().toArray(),
    },
    createPen(map),
  );
  map.on("moveend", () => void session.refreshList());
  map.on("moveend", session.moved);
  Object.assign(session.desk.views, {
    blink(is) {
      if (before_scene) map.setLayoutProperty("imagery-before", "visibility", is ? "visible" : "none");
    },
    pan: (right_px, down_px) => void map.panBy([right_px, down_px], { duration: 150 }),
  } satisfies Partial<Views>);
}
