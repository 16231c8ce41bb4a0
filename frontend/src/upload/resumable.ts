/** One file on its way to the server by tus 1.0, in chunks, resumed where it stopped. */
import { Upload, defaultOptions, type PreviousUpload } from "tus-js-client";

import { csrfToken } from "../api/client";

/** The server keeps whole chunks only: smaller ones lose less when the line breaks. */
const CHUNK_BYTES = 16 * 1024 * 1024;
const RETRY_AFTER_MS = [0, 1_000, 3_000, 5_000, 10_000, 20_000];
const ENDPOINT = "/api/v1/uploads";
const DISK_FULL = 507;

export interface Facts {
  event: string;
  name: string;
  phase: "before" | "after";
  acquired_at: string;
  sensor: string;
  licence: string;
}

export interface Hears {
  moved(sent: number, total: number): void;
  finished(scene: string): void;
  /** A refusal will not pass by waiting; anything else is tried again on `resume`. */
  stopped(message: string, refused: boolean): void;
}

export interface Sending {
  pause(): Promise<void>;
  resume(): void;
  /** Give it up: what the server has of it is deleted. */
  drop(): Promise<void>;
}

/** Uploads of earlier visits that did not finish; choosing the same file goes on with them. */
export async function unfinished(): Promise<PreviousUpload[]> {
  return (await defaultOptions.urlStorage?.findAllUploads()) ?? [];
}

export async function earlier(file: File): Promise<PreviousUpload | undefined> {
  const found = await new Upload(file, { endpoint: ENDPOINT }).findPreviousUploads();
  return found.sort((a, b) => b.creationTime.localeCompare(a.creationTime))[0];
}

export function send(
  file: File,
  facts: Facts,
  continued: PreviousUpload | undefined,
  hears: Hears,
): Sending {
  let scene = "";
  const upload = new Upload(file, {
    endpoint: ENDPOINT,
    chunkSize: CHUNK_BYTES,
    retryDelays: RETRY_AFTER_MS,
    removeFingerprintOnSuccess: true,
    headers: { "X-CSRFToken": csrfToken() },
    metadata: { filename: file.name, filetype: file.type, ...facts },
    onProgress: (sent, total) => hears.moved(sent, total),
    onAfterResponse: (_request, response) => {
      scene = response.getHeader("X-Scene-Id") ?? scene;
    },
    onSuccess: () => hears.finished(scene),
    onError: (error) => {
      const response = "originalResponse" in error ? error.originalResponse : null;
      const status = response?.getStatus() ?? 0;
      const refused = status >= 400 && status < 500 && status !== 409 && status !== 423;
      const said = refused || status === DISK_FULL;
      hears.stopped(said ? sentence(response?.getBody()) : INTERRUPTED, refused);
    },
  });
  if (continued) upload.resumeFromPreviousUpload(continued);
  upload.start();
  return {
    pause: () => upload.abort(),
    resume: () => upload.start(),
    drop: () => upload.abort(true),
  };
}

const INTERRUPTED = "The connection was lost. What has arrived is kept; it goes on when you resume.";

/** The server's own sentence, from its {"code", "message"}. */
function sentence(body: string | undefined): string {
  try {
    const { message } = JSON.parse(body ?? "") as { message?: unknown };
    if (typeof message === "string") return message;
  } catch {
    // not JSON: a proxy answered; the sentence below is all we can say
  }
  return "The server refused this file.";
}
