// Sends a file with tus-js-client. Prints {"url", "scene"} as JSON, or the error and exits 1.
// Environment: ENDPOINT, KEY, FILE, CHUNK_BYTES, METADATA (JSON); UPLOAD_URL to go on with one;
// STOP_AFTER bytes to stop at, and THEN=end to have the server delete what it has by then.
import { createReadStream } from "node:fs";
import { createRequire } from "node:module";

const frontend = new URL("../frontend/package.json", import.meta.url);
const { Upload } = createRequire(frontend)("tus-js-client");
const { env } = process;

function say(upload, scene) {
  process.stdout.write(JSON.stringify({ url: upload.url, scene }));
}

let scene = null;
const upload = new Upload(createReadStream(env.FILE), {
  endpoint: env.ENDPOINT,
  uploadUrl: env.UPLOAD_URL || null,
  chunkSize: Number(env.CHUNK_BYTES),
  metadata: JSON.parse(env.METADATA),
  headers: { Authorization: `Bearer ${env.KEY}` },
  retryDelays: [0, 200, 1000, 3000, 10000, 20000, 20000],
  storeFingerprintForResuming: false,
  onAfterResponse: (_request, response) => {
    scene = response.getHeader("X-Scene-Id") ?? scene;
  },
  onChunkComplete: async (_size, accepted) => {
    if (env.STOP_AFTER && accepted >= Number(env.STOP_AFTER)) {
      await upload.abort(env.THEN === "end");
      say(upload, scene);
      process.exit(0);
    }
  },
  onSuccess: () => say(upload, scene),
  onError: (error) => {
    process.stderr.write(`${error}\n`);
    process.exit(1);
  },
});
upload.start();
