/** Who reviews beside us, and what was decided while we did not listen. */
import type { Bounds } from "../geo/outline";
import { post, remove, request } from "./client";
import type { components } from "./schema";

type Schemas = components["schemas"];

export interface Place {
  readonly centre: readonly [number, number];
  readonly bounds: Bounds;
  readonly building: string | null;
}

/** Where somebody else looks. */
export interface Peer extends Place {
  readonly user_id: number;
  readonly user: string;
}

export type PeerNews = Peer | { readonly user_id: number; readonly gone: true };

export const come = (id: string, place: Place): Promise<{ here: Peer[]; latest: string | null }> =>
  post(`/assessments/${id}/presence`, place);

/** Said as the page closes: the browser sends it all the same. */
export const leave = (id: string): Promise<void> =>
  remove(`/assessments/${id}/presence`, { keepalive: true });

export const decisionsSince = (id: string, after: string | null): Promise<Schemas["SinceOut"]> =>
  request(`/assessments/${id}/decisions${after ? `?after=${encodeURIComponent(after)}` : ""}`);
