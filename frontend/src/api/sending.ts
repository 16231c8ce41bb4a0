/** Sending what a person has kept in the browser, in their name and nobody else's. */
import type { Building } from "./types";
import type { Answer, Trouble } from "../review/log/sender";
import { Refused, renewToken } from "./client";

/** Refusals that say nothing of what was sent: it stays, and is sent again. */
const AWAY: Record<string, Trouble["why"]> = {
  unreachable: "unreachable",
  failed: "failed",
  too_many_attempts: "failed",
  not_signed_in: "signed_out",
  csrf_failed: "signed_out",
  signed_in_as_another: "another",
};

type Send = (headers: Record<string, string>) => Promise<Extract<Answer, { is: "saved" }>>;

/** The server refuses it in anybody else's session. */
export const madeBy = (user: number): Record<string, string> => ({ "X-Made-By": String(user) });

/** Send in the name of a user; every outcome is a value, because each is shown differently. */
export async function sendAs(user: number, send: Send): Promise<Answer> {
  const first = await once(user, send);
  const stale = first.is === "away" && first.why === "signed_out";
  return stale && (await renewToken(user)) ? once(user, send) : first;
}

async function once(user: number, send: Send): Promise<Answer> {
  try {
    return await send(madeBy(user));
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    const { message, body, code } = error;
    const why = AWAY[code];
    if (why) return { is: "away", why, message };
    if (code === "changed_meanwhile" && body["building"]) {
      return { is: "conflict", message, theirs: body["building"] as Building };
    }
    return { is: "refused", message };
  }
}
