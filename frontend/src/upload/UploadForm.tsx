/** Choose an image, say what it is, send it, hear what became of it. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { PreviousUpload } from "tus-js-client";

import { request } from "../api/client";
import type { Scene } from "../api/types";
import { bytes, percent } from "../geo/format";
import { earlier, send, unfinished, type Facts, type Sending } from "./resumable";

type Stage =
  | { is: "choosing" }
  | { is: "sending"; sent: number; total: number; paused: boolean; trouble: string }
  | { is: "checking"; scene: string }
  | { is: "ready"; scene: string }
  | { is: "refused"; message: string };

const LOOK_AGAIN_MS = 1_000;

export function UploadForm({ event, date }: { event: string; date: string }) {
  const [stage, setStage] = useState<Stage>({ is: "choosing" });
  const [file, setFile] = useState<File | null>(null);
  const [continued, setContinued] = useState<PreviousUpload | undefined>();
  const [left, setLeft] = useState<PreviousUpload[]>([]);
  const sending = useRef<Sending | null>(null);
  const form = useRef<HTMLFormElement>(null);
  const shown = useRef(stage);
  shown.current = stage; // now: the line may be back before the effects of this drawing have run

  useEffect(() => {
    void unfinished().then((all) => setLeft(all.filter(({ metadata }) => metadata["event"] === event)));
  }, [event]);

  useEffect(() => {
    const online = (): void => {
      const { current } = shown;
      if (current.is === "sending" && current.trouble) resume();
    };
    addEventListener("online", online);
    return () => removeEventListener("online", online);
  });

  // The list of images on this page, which the server renders, follows.
  useEffect(() => void document.body.dispatchEvent(new Event("scenes-changed")), [stage.is]);

  useEffect(() => {
    if (stage.is !== "checking") return;
    const timer = setInterval(() => void look(stage.scene), LOOK_AGAIN_MS);
    return () => clearInterval(timer);
  }, [stage]);

  const look = async (scene: string): Promise<void> => {
    const found = await request<Scene>(`/scenes/${scene}`).catch(() => null);
    if (found?.state === "ready") setStage({ is: "ready", scene });
    if (found?.state === "refused") {
      setStage({ is: "refused", message: found.refusal_message });
    }
  };

  const choose = async (chosen: File | null): Promise<void> => {
    setFile(chosen);
    const found = chosen ? await earlier(chosen) : undefined;
    const same = found?.metadata["event"] === event ? found : undefined;
    setContinued(same);
    if (same && form.current) fill(form.current, same.metadata);
  };

  const moved = (sent: number, total: number): void =>
    setStage((now) => (now.is === "sending" ? { ...now, sent, total, trouble: "" } : now));

  const start = (): void => {
    if (!file || !form.current) return;
    setStage({ is: "sending", sent: 0, total: file.size, paused: false, trouble: "" });
    sending.current = send(file, factsOf(form.current, event), continued, {
      moved,
      finished: (scene) => setStage({ is: "checking", scene }),
      stopped: (message, refused) =>
        setStage((now) =>
          refused || now.is !== "sending"
            ? { is: "refused", message }
            : { ...now, paused: true, trouble: message },
        ),
    });
  };

  const pause = (): void => {
    void sending.current?.pause();
    setStage((now) => (now.is === "sending" ? { ...now, paused: true } : now));
  };

  const resume = (): void => {
    setStage((now) => (now.is === "sending" ? { ...now, paused: false, trouble: "" } : now));
    sending.current?.resume();
  };

  const again = (): void => {
    setFile(null);
    setContinued(undefined);
    setStage({ is: "choosing" });
  };

  const drop = (): void => {
    void sending.current?.drop();
    again();
  };

  return (
    <div class="upload" data-stage={stage.is}>
      <form
        ref={form}
        hidden={stage.is !== "choosing"}
        onSubmit={(submitted) => {
          submitted.preventDefault();
          start();
        }}
      >
        {left.length > 0 && !file && <Left uploads={left} />}
        <Fields date={date} onFile={(chosen) => void choose(chosen)} />
        {continued && (
          <p class="notice">
            Part of this file has arrived before. It goes on where it stopped.
          </p>
        )}
        <button type="submit" class="primary" disabled={!file}>
          {continued ? "Go on with the upload" : "Upload"}
          {file ? ` ${bytes(file.size)}` : ""}
        </button>
      </form>
      <p class="unseen" role="status">
        {spoken(stage)}
      </p>
      <div>
        {stage.is === "sending" && (
          <SendingBar stage={stage} onPause={pause} onResume={resume} onDrop={drop} />
        )}
        {stage.is === "checking" && (
          <p class="notice busy">It has arrived. The file is being checked and converted…</p>
        )}
        {stage.is === "ready" && <Ready scene={stage.scene} onAgain={again} />}
        {stage.is === "refused" && <RefusedFile message={stage.message} onAgain={again} />}
      </div>
    </div>
  );
}

/** Said once per turn of events: a number that grows would be read on and on. */
function spoken(stage: Stage): string {
  if (stage.is === "choosing") return "";
  if (stage.is === "checking") return "It has arrived and is being checked.";
  if (stage.is === "ready") return "Ready: the image passed every check.";
  if (stage.is === "refused") return ""; // an alert
  return stage.trouble || (stage.paused ? "Paused." : "Uploading.");
}

function Left({ uploads }: { uploads: PreviousUpload[] }) {
  return (
    <p class="notice">
      Not finished: {uploads.map(({ metadata }) => metadata["filename"]).join(", ")}. Choose the same file
      again to go on where it stopped.
    </p>
  );
}

function Fields({ date, onFile }: { date: string; onFile: (file: File | null) => void }) {
  return (
    <div class="fields">
      <label class="wide">
        GeoTIFF, up to 10 GB
        <input
          type="file"
          name="file"
          required
          accept=".tif,.tiff,image/tiff"
          onChange={(event) => onFile(event.currentTarget.files?.[0] ?? null)}
        />
      </label>
      <fieldset>
        <legend>The image was taken</legend>
        <label class="check">
          <input type="radio" name="phase" value="after" defaultChecked /> after the event
        </label>
        <label class="check">
          <input type="radio" name="phase" value="before" /> before it
        </label>
      </fieldset>
      <label>
        On (UTC)
        <input type="datetime-local" name="acquired_at" defaultValue={date ? `${date}T12:00` : ""} />
      </label>
      <label>
        Sensor
        <input name="sensor" maxLength={80} placeholder="such as WorldView-3" />
      </label>
      <label>
        Licence
        <input name="licence" maxLength={120} placeholder="such as CC BY-NC 4.0" />
      </label>
      <label>
        Name <span class="quiet">(else the file’s)</span>
        <input name="name" maxLength={200} />
      </label>
    </div>
  );
}

interface BarProps {
  stage: Extract<Stage, { is: "sending" }>;
  onPause: () => void;
  onResume: () => void;
  onDrop: () => void;
}

function SendingBar({ stage, onPause, onResume, onDrop }: BarProps) {
  const { sent, total, paused, trouble } = stage;
  return (
    <section class="sending">
      <h3>{trouble ? "Interrupted" : paused ? "Paused" : "Uploading"}</h3>
      <progress value={sent} max={total} aria-label="Uploaded" />
      <p>
        {bytes(sent)} of {bytes(total)} ({percent(total ? sent / total : 0)})
      </p>
      {trouble && <p class="notice bad">{trouble}</p>}
      <div class="pair">
        {paused ? (
          <button type="button" class="primary" onClick={onResume}>
            Resume
          </button>
        ) : (
          <button type="button" onClick={onPause}>
            Pause
          </button>
        )}
        <button type="button" onClick={onDrop}>
          Give up
        </button>
      </div>
    </section>
  );
}

function Ready({ scene, onAgain }: { scene: string; onAgain: () => void }) {
  return (
    <section class="notice good">
      <h3>Ready</h3>
      <p>The image passed every check. Next: look at it and have it analysed.</p>
      <div class="pair">
        <a class="button primary" href={`/scenes/${scene}/`}>
          Open the scene
        </a>
        <button type="button" onClick={onAgain}>
          Upload another
        </button>
      </div>
    </section>
  );
}

function RefusedFile({ message, onAgain }: { message: string; onAgain: () => void }) {
  return (
    <section class="notice bad" role="alert">
      <h3>Refused</h3>
      <p>{message}</p>
      <button type="button" onClick={onAgain}>
        Choose another file
      </button>
    </section>
  );
}

function factsOf(form: HTMLFormElement, event: string): Facts {
  const data = new FormData(form);
  const text = (name: string): string => String(data.get(name) ?? "").trim();
  const taken = text("acquired_at");
  return {
    event,
    name: text("name"),
    phase: text("phase") === "before" ? "before" : "after",
    acquired_at: taken ? `${taken}:00Z` : "",
    sensor: text("sensor"),
    licence: text("licence"),
  };
}

/** The facts of an unfinished upload are with the server already: show those. */
function fill(form: HTMLFormElement, metadata: Record<string, string>): void {
  for (const name of ["name", "sensor", "licence", "phase", "acquired_at"]) {
    const field = form.elements.namedItem(name);
    const value = (metadata[name] ?? "").replace(/:00Z$/, "");
    if (field instanceof RadioNodeList || field instanceof HTMLInputElement) field.value = value;
  }
}
