/** Where the map is and where the pointer is on the ground; and how panels move the map. */
import type { Bounds } from "../geo/outline";
import type { Place } from "../geo/places";
import { createStore, type Store } from "./store";

export interface GroundState {
  /** Where the map ends; null while there is no map. */
  bounds: Bounds | null;
  centre: Place | null;
  /** Where the pointer was last on the map. */
  pointer: Place | null;
}

export interface Mover {
  /** Bring a place to the middle, near enough to see a building. */
  to(place: Place): void;
  /** Bring a place to the middle, no nearer than it is. */
  centreOn(place: Place): void;
  /** By a share of what is in view, to the east and to the north. */
  by(east: number, north: number): void;
  /** By pixels of the screen: right, down. */
  byPixels(right_px: number, down_px: number): void;
  /** All of the image. */
  whole(): void;
}

export const ground: Store<GroundState> & { mover: Mover | null } = Object.assign(
  createStore<GroundState>({ bounds: null, centre: null, pointer: null }),
  { mover: null },
);
