import { afterEach, expect, it, vi } from "vitest";

import { decideSeveral } from "./assessments";
import type { Draft } from "./types";

afterEach(() => void vi.unstubAllGlobals());

const drafts: Draft[] = ["a", "b", "c", "d", "e"].map((id) => ({
  id, kind: "accept", building: `house-${id}`, on_version: 0,
}));
const nothing = { decided: null, building: null, code: null, message: null };

/** A server with this answer; gives what it was asked. */
function server(status: number, body: unknown): { path: string; sent: RequestInit }[] {
  const asked: { path: string; sent: RequestInit }[] = [];
  vi.stubGlobal("document", { querySelector: () => null });
  vi.stubGlobal("fetch", (path: string, sent: RequestInit) => {
    asked.push({ path, sent });
    return Promise.resolve(new Response(JSON.stringify(body), { status }));
  });
  return asked;
}

it("each of several decisions gets its own answer, whatever their order", async () => {
  const theirs = { uid: "house-b", version: 3 };
  const asked = server(200, {
    outcomes: [
      { ...nothing, id: "e", became: "not_tried" },
      { ...nothing, id: "c", became: "refused", code: "bad_outline", message: "It crosses itself." },
      { ...nothing, id: "a", became: "applied", decided: { uid: "house-a", also: [] } },
      { ...nothing, id: "b", became: "conflict", code: "changed_meanwhile", message: "!", building: theirs },
      { ...nothing, id: "d", became: "failed" },
    ],
  });

  const told = await decideSeveral("a1", 7, drafts);

  expect(told.is === "answered" && told.answers).toMatchObject([
    { is: "saved", building: { uid: "house-a" }, also: [] },
    { is: "conflict", theirs },
    { is: "refused", message: "It crosses itself." },
    { is: "away", why: "failed" },
    null,
  ]);
  expect(asked[0]?.path).toBe("/api/v1/assessments/a1/decisions/several");
  expect(new Headers(asked[0]?.sent.headers).get("X-Made-By")).toBe("7");
  expect((JSON.parse(String(asked[0]?.sent.body)) as { decisions: Draft[] }).decisions).toEqual(drafts);
});

it("an answer that leaves a decision out says nothing of it", async () => {
  server(200, { outcomes: [{ ...nothing, id: "a", became: "applied", decided: { uid: "house-a", also: [] } }] });
  const told = await decideSeveral("a1", 7, drafts);

  expect(told.is === "answered" && told.answers.slice(1)).toEqual([null, null, null, null]);
});

it("a refusal of all of them is about none of them", async () => {
  server(409, { code: "signed_in_as_another", message: "Somebody else is signed in." });
  expect(await decideSeveral("a1", 7, drafts)).toMatchObject({ is: "away", why: "another" });
  server(503, "no JSON of ours");
  expect(await decideSeveral("a1", 7, drafts)).toMatchObject({ is: "away", why: "failed" });
});
