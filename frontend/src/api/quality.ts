/** What judging a sample asks of the server. */
import { post } from "./client";
import type { components } from "./schema";
import { madeBy } from "./sending";

type Schemas = components["schemas"];

export type Offer = Schemas["Offer"];
/** A building, or a square of the ground; never what the model said of it. */
export type Thing = Schemas["ToJudge"];
export type ItemAnswer = Schemas["ItemAnswer"]["answer"];
export type Mark = Schemas["MarkIn"];

export const nextOf = (sample: string, user: number, limit: number): Promise<Offer> =>
  post(`/quality-samples/${sample}/next?limit=${limit}`, {}, { headers: madeBy(user) });

export const picture = (thing: Thing, phase: "after" | "before", wide: boolean): string =>
  `/api/v1/quality-pictures/${thing.id}.webp?phase=${phase}&wide=${wide}`;
