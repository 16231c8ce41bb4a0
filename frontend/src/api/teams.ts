/** What areas, second looks and disagreements ask of the server. */
import type { Polygon } from "geojson";

import { post, request } from "./client";
import type { components } from "./schema";
import { madeBy } from "./sending";

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
  user: number,
  count: number,
): Promise<{ looks: Look[]; left: number }> =>
  post(`/assessments/${assessment}/second-looks`, { count }, { headers: madeBy(user) });

export const disagreements = (assessment: string, user: number): Promise<Disagreement[]> =>
  request(`/assessments/${assessment}/disagreements`, { headers: madeBy(user) });

export const picture = (look: string, when: "after" | "before", wide: boolean): string =>
  `/api/v1/second-looks/${look}/${when}.webp${wide ? "?wide=true" : ""}`;
