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

type Send<Told> = (headers: Record<string, string>) => Promise<Told>;
type NotTold = Exclude<Answer, { is: "saved" }>;

/** The server refuses it in anybody else's session. */
export const madeBy = (user: number): Record<string, string> => ({ "X-Made-By": String(user) });

/** Send in the name of a user; every outcome is a value, because each is shown differently. */
export async function sendAs<Told extends { is: "saved" | "answered" }>(
  user: number,
  send: Send<Told>,
): Promise<Told | NotTold> {
  const first = await once(user, send);
  const stale = first.is === "away" && first.why === "signed_out";
  return stale && (await renewToken(user)) ? once(user, send) : first;
}

async function once<Told>(user: number, send: Send<Told>): Promise<Told | NotTold> {
  try {
    return await send(madeBy(user));
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    const { message, body, code } = error;
    return refusedWith(code, message, body["building"] as Building | undefined);
  }
}

/** What a refusal says of what was sent; `theirs` comes with a conflict. */
export function refusedWith(code: string, message: string, theirs?: Building | null): NotTold {
  const why = AWAY[code];
  if (why) return { is: "away", why, message };
  if (code === "changed_meanwhile" && theirs) return { is: "conflict", message, theirs };
  return { is: "refused", message };
}
