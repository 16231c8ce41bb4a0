/**
 * Server-sent events of one assessment. After a lost line the browser reconnects by itself, after an
 * answer that is an error it never does: then we ask again.
 */
import type { PeerNews } from "./together";
import type { Assessment, DecisionNews } from "./types";

export interface Hears {
  progress(assessment: Assessment): void;
  decision(change: DecisionNews): void;
  reviewedArea(): void;
  /** Somebody looks elsewhere now, or has left. */
  presence(news: PeerNews): void;
  /** The server knows that it could not tell everything. */
  missed(): void;
  /** Areas changed hands. */
  team(): void;
  /** False while the line is down; true when it is back, with whatever was missed in between. */
  connected(is: boolean): void;
}

const AGAIN_MS = 5_000; // a server that restarts has that much peace

export function listen(assessment: string, hears: Hears): () => void {
  let again: number | undefined;
  let source = open(assessment, hears, onError);
  function onError(): void {
    hears.connected(false);
    if (source.readyState !== EventSource.CLOSED) return;
    clearTimeout(again);
    again = window.setTimeout(() => {
      source = open(assessment, hears, onError);
    }, AGAIN_MS);
  }
  return () => {
    clearTimeout(again);
    source.close();
  };
}

function open(assessment: string, hears: Hears, onError: () => void): EventSource {
  const source = new EventSource(`/api/v1/assessments/${assessment}/events`);
  const progress = ({ data }: MessageEvent<string>): void =>
    hears.progress(JSON.parse(data) as Assessment);
  source.addEventListener("message", progress);
  source.addEventListener("progress", progress);
  source.addEventListener("decision", ({ data }: MessageEvent<string>) =>
    hears.decision(JSON.parse(data) as DecisionNews),
  );
  source.addEventListener("reviewed_area", () => hears.reviewedArea());
  source.addEventListener("presence", ({ data }: MessageEvent<string>) =>
    hears.presence(JSON.parse(data) as PeerNews),
  );
  source.addEventListener("missed", () => hears.missed());
  source.addEventListener("team", () => hears.team());
  source.addEventListener("open", () => hears.connected(true));
  source.addEventListener("error", onError);
  return source;
}
