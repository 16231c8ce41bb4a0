/** What the tile server knows of a scene, and where to ask for its pictures. */
import type { Bounds } from "../geo/outline";
import { request } from "./client";

/** Of one scene; bands are numbered from 1. */
export interface SceneFacts {
  readonly bounds: Bounds;
  /** "red", "nir" and so on, or "" where nobody knows what a band is. */
  readonly bands: readonly string[];
  /** Those shown as red, green and blue unless others are asked for. */
  readonly shown: readonly number[];
  readonly near_infrared: number | null;
}

export const sceneFacts = (scene: string): Promise<SceneFacts> =>
  request(`/tiles/scenes/${scene}/tilejson.json`);

/** Where tiles are, for a map; `query` is a look's, and says all that differs between addresses. */
export const tileAddress = (scene: string, query: string): string =>
  `${location.origin}/api/v1/tiles/scenes/${scene}/{z}/{x}/{y}.webp${query}`;

export const overviewAddress = (scene: string, query: string): string =>
  `/api/v1/tiles/scenes/${scene}/overview.webp${query}`;
