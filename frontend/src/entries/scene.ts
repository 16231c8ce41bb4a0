/** The scene page: where the image lies. */
import "../styles/map.css";

import type { Bounds } from "../geo/outline";
import { startMap } from "../map/start";
import { element, pageData } from "./page";

const { scene, bounds } = pageData<{ scene: string; bounds: Bounds | null }>();
void startMap(element("map"), { scene, bounds });
