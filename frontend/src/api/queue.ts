/** What the queue and the table ask of the server. */
import type { Polygon } from "geojson";

import type { Filters, Order } from "../review/queue";
import { request } from "./client";
import type { components } from "./schema";
import type { Building } from "./types";

export interface QueuePage {
  readonly buildings: readonly Building[];
  /** Goes on from here; null on the last page. */
  readonly next: string | null;
  /** Whether the server knows yet what is most worth a look. */
  readonly ordered: boolean;
}

export interface Asked {
  readonly filters: Filters;
  readonly minScore: number;
  readonly order: Order;
  readonly cursor?: string | undefined;
  readonly near?: readonly [number, number] | undefined;
  readonly limit: number;
}

export const queuePage = (id: string, asked: Asked): Promise<QueuePage> => {
  const query = filtersOf(asked.filters, asked.minScore);
  query.set("order", asked.order);
  query.set("limit", String(asked.limit));
  if (asked.cursor) query.set("cursor", asked.cursor);
  if (asked.near) query.set("near", asked.near.join(","));
  return request(`/assessments/${id}/queue?${query}`);
};

/** How many buildings the filters leave in all. */
export const queueCount = async (id: string, filters: Filters, minScore: number): Promise<number> =>
  (await request<{ count: number }>(`/assessments/${id}/queue/count?${filtersOf(filters, minScore)}`))
    .count;

/** User names of all who decided there. */
export const queuePeople = async (id: string): Promise<readonly string[]> =>
  (await request<components["schemas"]["QueuePeople"]>(`/assessments/${id}/queue/people`)).people;

function filtersOf({ grade, state, who, maxScore, flagged, area }: Filters, minScore: number): URLSearchParams {
  const query = new URLSearchParams({ state, min_score: String(minScore), max_score: String(maxScore) });
  if (grade) query.set("grade", grade);
  if (who) query.set("who", who);
  if (flagged) query.set("flagged", "true");
  if (area) query.set("area", ring(area));
  return query;
}

const ring = (area: Polygon): string =>
  (area.coordinates[0] ?? []).map(([x, y]) => `${x},${y}`).join(";");
