/** The review page: imagery, buildings, decisions. All but the map works before its code has come. */
import { render } from "preact";
import "../styles/map.css";
import "../styles/imagery.css";

import { assessment } from "../api/assessments";
import { listen } from "../api/live";
import type { AssessmentPage } from "../api/types";
import type { AllLooks } from "../map/workbench";
import { Imagery } from "../panels/Imagery";
import { Legend } from "../panels/Legend";
import { NoMap } from "../panels/NoMap";
import { Notices } from "../panels/Notices";
import { Overview } from "../panels/Overview";
import { Place, openGoTo } from "../panels/Place";
import { Saving } from "../panels/Saving";
import { Side } from "../panels/Side";
import { TablePanel } from "../panels/Table";
import { Tools } from "../panels/Tools";
import { ViewButtons, ViewMarks } from "../panels/Views";
import { listenToKeys } from "../review/keys";
import { ground } from "../review/ground";
import { createLooks, shelf } from "../review/looks";
import { createSession } from "../review/session";
import { views } from "../review/views";
import type { Views } from "../review/workbench";
import { element, pageData } from "./page";

const page = pageData<AssessmentPage>();
const session = createSession(page);
const { scene, before_scene, user } = page;
const looks: AllLooks = {
  after: createLooks(shelf(), user, scene),
  before: before_scene ? createLooks(shelf(), user, before_scene) : null,
};
views.open({
  user,
  before: before_scene !== null,
  say: (text) => session.store.set({ message: { text, bad: false } }),
});

render(<Side session={session} />, element("side"));
render(<Legend session={session} />, element("legend"));
render(<Tools session={session} />, element("tools"));
render(<TablePanel session={session} />, element("table"));
render(<Notices session={session} />, element("notices"));
render(<Saving session={session} />, element("saving"));
render(<ViewMarks />, element("view-marks"));
render(<Overview scene={scene} looks={looks.after} />, element("overview"));
render(
  <>
    <ViewButtons session={session} />
    <Imagery
      session={session}
      images={[
        { name: "After", scene, looks: looks.after },
        ...(before_scene && looks.before ? [{ name: "Before", scene: before_scene, looks: looks.before }] : []),
      ]}
    />
    <Place session={session} />
  </>,
  element("strip"),
);

Object.assign(session.desk.views, {
  blink: views.blink,
  keepBefore: views.keepBefore,
  swipe: views.swipe,
  sideBySide: views.sideBySide,
  goTo: openGoTo,
  pan: (right_px, down_px) => ground.mover?.byPixels(right_px, down_px),
} satisfies Views);
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
openMap().catch((error: unknown) => {
  console.error(error);
  render(<NoMap error={error} />, element("map"));
});

async function openMap(): Promise<void> {
  const { openWorkbench } = await import("../map/workbench");
  await openWorkbench(session, looks);
}

// Damage must not be judged on the image before: another building is seen as it is after
session.store.watch((now, was) => {
  if (now.picked?.uid !== was.picked?.uid) views.letGo();
});
session.store.watch(({ progress }) => {
  element("downloads").hidden = progress?.state !== "done";
});
