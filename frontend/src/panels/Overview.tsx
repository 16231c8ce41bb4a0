/** All of the image, small, and where the map is in it. */
import { useEffect, useState } from "preact/hooks";

import { overviewAddress, sceneFacts } from "../api/imagery";
import type { Bounds } from "../geo/outline";
import { latitudeAt, mercatorY } from "../geo/places";
import { ground } from "../review/ground";
import { query, type Looks } from "../review/looks";
import { useStore } from "../review/store";

const STEP = 0.25; // of what is in view, for an arrow key
const WIDE_PX = 960; // as in map.css; on less it would hide too much of the map

export function Overview({ scene, looks }: { scene: string; looks: Looks }) {
  const [bounds, setBounds] = useState<Bounds | null>(null);
  const look = useStore(looks.store);
  const { bounds: view } = useStore(ground);
  useEffect(() => {
    sceneFacts(scene).then((facts) => setBounds(facts.bounds), () => undefined); // without one, no overview
  }, [scene]);
  if (!bounds || !view) return null;
  const go = (event: MouseEvent): void => {
    if (event.detail === 0) return ground.mover?.whole(); // by a key
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    ground.mover?.centreOn(placeAt(bounds, x, y));
  };
  return (
    <details class="overview" open={innerWidth > WIDE_PX}>
      <summary>Overview</summary>
      <button
        type="button"
        aria-label="Overview of the image. Click: go there. Arrow keys: move the map. Enter: show all of it."
        onClick={go}
        onKeyDown={(event) => {
          const step = STEPS[event.key];
          if (!step) return;
          event.preventDefault();
          event.stopPropagation();
          ground.mover?.by(step[0] * STEP, step[1] * STEP);
        }}
      >
        <img src={overviewAddress(scene, query({ ...look, brightness: 0, contrast: 0 }))} alt="" draggable={false} />
        <span class="in-view" style={inView(bounds, view)} />
      </button>
    </details>
  );
}

const STEPS: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, 1],
  ArrowDown: [0, -1],
};

/** The place at a share of the picture's width and height; the picture is in Web Mercator. */
function placeAt([west, south, east, north]: Bounds, x: number, y: number): { lng: number; lat: number } {
  const top = mercatorY(north);
  return { lng: west + (east - west) * x, lat: latitudeAt(top + (mercatorY(south) - top) * y) };
}

function inView(whole: Bounds, view: Bounds): Record<string, string> {
  const clamp = (share: number): number => Math.min(1, Math.max(0, share));
  const across = (lng: number): number => clamp((lng - whole[0]) / (whole[2] - whole[0]));
  const top = mercatorY(whole[3]);
  const down = (lat: number): number => clamp((mercatorY(lat) - top) / (mercatorY(whole[1]) - top));
  const [left, right, above, below] = [across(view[0]), across(view[2]), down(view[3]), down(view[1])];
  return {
    left: `${left * 100}%`,
    width: `${(right - left) * 100}%`,
    top: `${above * 100}%`,
    height: `${(below - above) * 100}%`,
  };
}
