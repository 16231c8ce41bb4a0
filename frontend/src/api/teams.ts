/** What areas, second looks and disagreements ask of the server. */
import type { Polygon } from "geojson";

import { post, request } from "./client";
import type { components } from "./schema";

type Schemas = components["schemas"];

export type TeamArea = Omit<Schemas["TeamAreaOut"], "outline"> & { outline: Polygon };
export type Team = Omit<Schemas["TeamOut"], "areas"> & { areas: readonly TeamArea[] };
export type Answer = Schemas["AnswerIn"]["answer"];
export type Look = Schemas["LookOut"];
export type Disagreement = Schemas["DisagreementOut"];

export const team = (assessment: string): Promise<Team> => request(`/assessments/${assessment}/team`);

/** Columns and rows, or about so many buildings in each area. */
export const split = (
  assessment: string,
  how: { columns: number; rows: number } | { buildings: number },
): Promise<Team> => post(`/assessments/${assessment}/team-areas/split`, how);

export const addArea = (assessment: string, outline: Polygon): Promise<Team> =>
  post(`/assessments/${assessment}/team-areas`, { outline });

export const removeAreas = (assessment: string): Promise<Team> =>
  request(`/assessments/${assessment}/team-areas`, { method: "DELETE" });

export const act = (area: string, what: "claim" | "finish" | "release"): Promise<Team> =>
  post(`/team-areas/${area}/${what}`, {});

export const renew = (area: string): Promise<void> => post(`/team-areas/${area}/renew`, {});

export const assign = (area: string, member: number | null): Promise<Team> =>
  post(`/team-areas/${area}/assign`, { member });

export const addControl = (assessment: string, building: string, answer: Answer): Promise<void> =>
  post(`/assessments/${assessment}/controls`, { building, answer });

export const serve = (
  assessment: string,
  count: number,
): Promise<{ looks: Look[]; left: number }> =>
  post(`/assessments/${assessment}/second-looks`, { count });

export const answer = (look: string, said: Answer): Promise<void> =>
  postToTheEnd(`/second-looks/${look}/answer`, { answer: said });

export const disagreements = (assessment: string): Promise<Disagreement[]> =>
  request(`/assessments/${assessment}/disagreements`);

/** `id` is made by the caller: sent again it is one decision. */
export const settle = (
  look: string,
  verdict: { id: string; answer: Answer; on_version: number },
): Promise<void> => postToTheEnd(`/second-looks/${look}/adjudication`, verdict);

/** Goes out even if the page is left meanwhile. */
const postToTheEnd = (path: string, body: unknown): Promise<void> =>
  request(path, { method: "POST", body: JSON.stringify(body), keepalive: true });

export const picture = (look: string, when: "after" | "before", wide: boolean): string =>
  `/api/v1/second-looks/${look}/${when}.webp${wide ? "?wide=true" : ""}`;
