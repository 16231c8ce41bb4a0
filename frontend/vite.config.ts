/** Builds what Django serves below /static/: hashed files, and a manifest that the template tag reads. */
import { defineConfig } from "vitest/config";

export default defineConfig({
  base: "/static/",
  publicDir: "public",
  build: {
    outDir: "dist",
    manifest: "manifest.json",
    target: "es2022",
    chunkSizeWarningLimit: 1500, // MapLibre alone is about 1 MB
    rolldownOptions: {
      checks: { eval: false }, // htmx has one, switched off in base.ts and forbidden by the page
      input: {
        base: "src/entries/base.ts",
        upload: "src/entries/upload.tsx",
        scene: "src/entries/scene.ts",
        assessment: "src/entries/assessment.tsx",
        trainingRun: "src/entries/trainingRun.ts",
        team: "src/entries/team.ts",
        judging: "src/entries/judging.tsx",
        quality: "src/entries/quality.ts",
        judge: "src/entries/judge.tsx",
      },
    },
  },
  worker: { format: "es" },
  // shared machines are slow at times: what hangs still ends
  test: { environment: "node", include: ["src/**/*.test.ts"], testTimeout: 60_000 },
});
