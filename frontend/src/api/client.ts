/** The only module that calls fetch. Every refusal becomes a `Refused` fit to show. */

export class Refused extends Error {
  constructor(
    readonly code: string,
    message: string,
    /** The whole answer: a conflict carries the other person's building in it. */
    readonly body: Record<string, unknown> = {},
  ) {
    super(message);
  }

  /** Whether trying again later can help. */
  get passing(): boolean {
    return this.code === "unreachable" || this.code === "failed";
  }
}

const UNREACHABLE = "The server cannot be reached. Your work is kept; it is tried again by itself.";
export const FAILED = "The server could not answer. Your work is kept; it is tried again by itself.";

/** Django's token, rendered into every page: a session request without it is refused. */
export function csrfToken(): string {
  return document.querySelector<HTMLMetaElement>('meta[name="csrf-token"]')?.content ?? "";
}

export async function request<T>(path: string, init: RequestInit = {}): Promise<T> {
  const response = await fetch(`/api/v1${path}`, {
    credentials: "same-origin",
    ...init,
    headers: {
      "Content-Type": "application/json",
      "X-CSRFToken": csrfToken(),
      ...init.headers,
    },
  }).catch(() => {
    throw new Refused("unreachable", UNREACHABLE);
  });
  if (response.status === 204) return undefined as T;
  const body: unknown = await response.json().catch(() => null);
  if (response.ok) return body as T;
  throw refusal(body);
}

export const post = <T>(path: string, body: unknown, init: RequestInit = {}): Promise<T> =>
  request<T>(path, { ...init, method: "POST", body: JSON.stringify(body) });

export const remove = (path: string, init: RequestInit = {}): Promise<void> =>
  request(path, { ...init, method: "DELETE" });

/**
 * After somebody signed in again in another tab, this page's token no longer holds: take the new one
 * from the page as the server would render it now. False if nobody, or somebody else, is signed in.
 */
export async function renewToken(user: number): Promise<boolean> {
  const answer = await fetch(location.pathname, { credentials: "same-origin" }).catch(() => null);
  if (!answer?.ok) return false;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const data = page.getElementById("page-data")?.textContent;
  const token = page.querySelector<HTMLMetaElement>('meta[name="csrf-token"]')?.content;
  if (!data || !token || (JSON.parse(data) as { user_id?: number }).user_id !== user) return false;
  document.querySelector('meta[name="csrf-token"]')?.setAttribute("content", token);
  return true;
}

function refusal(body: unknown): Refused {
  const fields = typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};
  const { code, message } = fields;
  if (typeof code !== "string" || typeof message !== "string") return new Refused("failed", FAILED);
  return new Refused(code, message, fields);
}
