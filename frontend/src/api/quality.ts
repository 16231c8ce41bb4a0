/** What judging a sample asks of the server. */
import { post, request } from "./client";
import type { components } from "./schema";

type Schemas = components["schemas"];

export type Offer = Schemas["Offer"];
/** A building, or a square of the ground; never what the model said of it. */
export type Thing = Schemas["ToJudge"];
export type ItemAnswer = Schemas["ItemAnswer"]["answer"];
export type Mark = Schemas["MarkIn"];

export const nextOf = (sample: string, limit: number): Promise<Offer> =>
  post(`/quality-samples/${sample}/next?limit=${limit}`, {});

const put = (path: string, body: unknown): Promise<void> =>
  request(path, { method: "PUT", body: JSON.stringify(body) });

export const judgeBuilding = (id: string, answer: ItemAnswer): Promise<void> =>
  put(`/quality-items/${id}`, { answer });

export const judgeSquare = (
  id: string,
  answer: "judged" | "cannot_judge",
  marks: Mark[],
): Promise<void> => put(`/quality-squares/${id}`, { answer, marks });

export const picture = (thing: Thing, phase: "after" | "before", wide: boolean): string =>
  `/api/v1/quality-pictures/${thing.id}.webp?phase=${phase}&wide=${wide}`;
