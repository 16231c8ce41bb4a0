/** What the review page asks of the server. */
import type { Answer } from "../review/outbox";
import type { Candidate } from "../review/queue";
import { boundsOf, centreOf, type Bounds } from "../geo/outline";
import type { Grade } from "../geo/grades";
import { Refused, post, remove, request } from "./client";
import type { Assessment, Building, CountRow, Draft, ReviewedArea } from "./types";
import type { Feature, FeatureCollection, Polygon } from "geojson";

export interface Listed extends Candidate {
  readonly grade: Grade;
  readonly bounds: Bounds;
}

export const assessment = (id: string): Promise<Assessment> => request(`/assessments/${id}`);

export const cancel = (id: string): Promise<Assessment> => post(`/assessments/${id}/cancel`, {});

export const building = (id: string, uid: string): Promise<Building> =>
  request(`/assessments/${id}/buildings/${uid}`);

export const counts = (id: string): Promise<CountRow[]> => request(`/assessments/${id}/counts`);

/** One page of buildings, at most `limit`, inside `bounds` if given. */
export async function listBuildings(
  id: string,
  options: { bounds?: Bounds; review?: "unreviewed"; minScore?: number; limit: number },
): Promise<Listed[]> {
  const query = new URLSearchParams({ limit: String(options.limit) });
  if (options.bounds) query.set("bbox", options.bounds.join(","));
  if (options.review) query.set("review", options.review);
  if (options.minScore !== undefined) query.set("min_score", String(options.minScore));
  const page = await request<FeatureCollection<Polygon>>(`/assessments/${id}/footprints?${query}`);
  return page.features.map(listed);
}

function listed({ id, geometry, properties }: Feature<Polygon>): Listed {
  const fields = (properties ?? {}) as { grade: Grade; review?: string; score?: number | null };
  return {
    uid: String(id),
    centre: centreOf(geometry),
    bounds: boundsOf(geometry),
    grade: fields.grade,
    review: fields.review ?? "unreviewed",
    score: fields.score ?? null,
  };
}

/** Send a decision; every outcome is a value, because each is shown differently. */
export async function decide(id: string, draft: Draft): Promise<Answer> {
  try {
    return { is: "saved", building: await post<Building>(`/assessments/${id}/decisions`, draft) };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    const { message, body, passing } = error;
    if (passing) return { is: "unreachable", message };
    if (error.code === "changed_meanwhile" && body["building"]) {
      return { is: "conflict", message, theirs: body["building"] as Building };
    }
    return { is: "refused", message };
  }
}

export async function reviewedAreas(id: string): Promise<ReviewedArea[]> {
  return request(`/assessments/${id}/reviewed-areas`);
}

export const addReviewedArea = (id: string, outline: Polygon): Promise<ReviewedArea> =>
  post(`/assessments/${id}/reviewed-areas`, { outline });

export const removeReviewedArea = (area: string): Promise<void> =>
  remove(`/reviewed-areas/${area}`);
