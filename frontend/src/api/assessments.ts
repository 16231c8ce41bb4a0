/** What the review page asks of the server. */
import type { Answer, Answers } from "../review/log/sender";
import { boundsOf, type Bounds } from "../geo/outline";
import type { Grade } from "../geo/grades";
import { FAILED, post, remove, request } from "./client";
import { refusedWith, sendAs } from "./sending";
import type {
  AreaBecause,
  Assessment,
  Building,
  CountRow,
  Decided,
  Draft,
  Explanation,
  Outcome,
  ReviewedArea,
  Shard,
} from "./types";
import type { Feature, FeatureCollection, MultiPolygon, Polygon } from "geojson";

const LIST_LIMIT = 200;

export interface Listed {
  readonly uid: string;
  readonly review: string;
  readonly score: number | null;
  readonly grade: Grade;
  readonly bounds: Bounds;
}

export const assessment = (id: string): Promise<Assessment> => request(`/assessments/${id}`);

export const cancel = (id: string): Promise<Assessment> => post(`/assessments/${id}/cancel`, {});

export const setUrgent = (id: string, urgent: boolean): Promise<Assessment> =>
  post(`/assessments/${id}/urgent`, { urgent });

const FAILED_SHARDS_LIMIT = 50; // of each kind; more are shown once these were retried

/** The shards that cannot be done, in their order. */
export async function failedShards(id: string): Promise<Shard[]> {
  const kinds = await Promise.all(
    ["failed", "failed_poison"].map((state) =>
      request<Shard[]>(`/assessments/${id}/shards?state=${state}&limit=${FAILED_SHARDS_LIMIT}`),
    ),
  );
  return kinds.flat().sort((one, other) => one.index - other.index);
}

export const retryShard = (id: string, index: number): Promise<Assessment> =>
  post(`/assessments/${id}/shards/${index}/retry`, {});

export const retryMerge = (id: string): Promise<Assessment> => post(`/assessments/${id}/merge/retry`, {});

export const building = (id: string, uid: string): Promise<Building> =>
  request(`/assessments/${id}/buildings/${uid}`);

export const counts = (id: string): Promise<CountRow[]> => request(`/assessments/${id}/counts`);

/** A page of buildings; `next` asks for the one after it and is null on the last. */
export interface ListedPage {
  readonly rows: readonly Listed[];
  readonly next: string | null;
}

/** The first page of the buildings inside `bounds`. */
export const listBuildings = (id: string, bounds: Bounds): Promise<ListedPage> =>
  page(`/assessments/${id}/footprints?limit=${LIST_LIMIT}&bbox=${bounds.join(",")}`);

export const listMore = (next: string): Promise<ListedPage> => page(next.replace(/^\/api\/v1/, ""));

async function page(path: string): Promise<ListedPage> {
  const { features, next } = await request<Page>(path);
  return { rows: features.map(listed), next };
}

type Page = FeatureCollection<Polygon> & { next: string | null };

function listed({ id, geometry, properties }: Feature<Polygon>): Listed {
  const fields = (properties ?? {}) as { grade: Grade; review?: string; score?: number | null };
  return {
    uid: String(id),
    bounds: boundsOf(geometry),
    grade: fields.grade,
    review: fields.review ?? "unreviewed",
    score: fields.score ?? null,
  };
}

/** Send a decision of a user. */
export const decide = (id: string, user: number, draft: Draft): Promise<Answer> =>
  sendAs(user, async (headers) => {
    const path = `/assessments/${id}/decisions`;
    const answer = await request<Decided>(path, {
      method: "POST", headers, body: JSON.stringify(draft),
    });
    return { is: "saved" as const, building: answer.uid ? answer : null, also: answer.also ?? [] };
  });

/** Send decisions of a user at once, in their order. */
export const decideSeveral = (
  id: string,
  user: number,
  drafts: readonly Draft[],
): Promise<Answers | Exclude<Answer, { is: "saved" }>> =>
  sendAs(user, async (headers) => {
    const path = `/assessments/${id}/decisions/several`;
    const body = { decisions: drafts };
    const { outcomes } = await post<{ outcomes: Outcome[] }>(path, body, { headers });
    const by = new Map(outcomes.map((one) => [one.id, one]));
    return { is: "answered" as const, answers: drafts.map((draft) => answerOf(by.get(draft.id))) };
  });

function answerOf(outcome: Outcome | undefined): Answer | null {
  if (!outcome || outcome.became === "not_tried") return null;
  const { became, decided, building, code, message } = outcome;
  if (became === "applied" && decided) {
    return { is: "saved", building: decided, also: decided.also ?? [] };
  }
  if (became === "failed" || !code || !message) return { is: "away", why: "failed", message: FAILED };
  return refusedWith(code, message, building);
}

const explanationOf = (id: string, uid: string): string =>
  `/assessments/${id}/buildings/${uid}/explanation`;

/** Have a worker draw why a building got its grade; what is there already comes at once. */
export const askForExplanation = (id: string, uid: string): Promise<Explanation> =>
  post(explanationOf(id, uid), {});

export const explanation = (id: string, uid: string): Promise<Explanation> =>
  request(explanationOf(id, uid));

/** Ground that no tile looked at; `reason` is "nodata" or "damaged". */
export type Gaps = FeatureCollection<Polygon | MultiPolygon, { reason: "nodata" | "damaged" }>;

export const gaps = (id: string): Promise<Gaps> => request(`/assessments/${id}/ground-not-analysed`);

export async function reviewedAreas(id: string): Promise<ReviewedArea[]> {
  return request(`/assessments/${id}/reviewed-areas`);
}

/** An area as it is drawn; sent again with its `id` it is there once. */
export interface AreaDraft {
  readonly id: string;
  readonly outline: Polygon;
  /** Why it cannot be assessed; null where everything in it was looked at. */
  readonly because: AreaBecause | null;
}

export const addArea = (assessment: string, area: AreaDraft): Promise<ReviewedArea> =>
  post(`/assessments/${assessment}/reviewed-areas`, {
    ...area, kind: area.because === null ? "reviewed" : "not_assessable",
  });

export const removeReviewedArea = (area: string): Promise<void> =>
  remove(`/reviewed-areas/${area}`);
