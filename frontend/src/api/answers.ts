/** Sending answers: of second looks, of disagreements, of a sample. Sent again each is one. */
import type { Sent } from "../review/log/ledger";
import type { Answer } from "../review/log/sender";
import { request } from "./client";
import type { ItemAnswer, Mark } from "./quality";
import { sendAs } from "./sending";
import type { Answer as LookAnswer } from "./teams";

/** What was answered. `building` is the id of the look, or of what is judged in the sample. */
export type Answered =
  | { readonly kind: "look" | "settle"; readonly answer: LookAnswer }
  | { readonly kind: "item"; readonly answer: ItemAnswer }
  | {
      readonly kind: "square";
      readonly answer: "judged" | "cannot_judge";
      readonly marks: readonly Mark[];
    };

export type Given = Sent & Answered;

/** It goes out even if the page is left meanwhile. */
export const sendAnswer = (user: number, given: Given): Promise<Answer> =>
  sendAs(user, async (headers) => {
    const { method, path, body } = asked(given);
    await request(path, { method, headers, body: JSON.stringify(body), keepalive: true });
    return { is: "saved", building: null, also: [] };
  });

function asked(given: Given): { method: "POST" | "PUT"; path: string; body: unknown } {
  const { id, building, on_version, answer } = given;
  switch (given.kind) {
    case "look":
      return { method: "POST", path: `/second-looks/${building}/answer`, body: { answer } };
    case "settle":
      return {
        method: "POST", path: `/second-looks/${building}/adjudication`,
        body: { id, answer, on_version },
      };
    case "item":
      return { method: "PUT", path: `/quality-items/${building}`, body: { id, answer } };
    case "square":
      return {
        method: "PUT", path: `/quality-squares/${building}`,
        body: { id, answer, marks: given.marks },
      };
  }
}
