/** The images that an assessment looks at, how they fit, and what to know of them. */
import type { Assessment } from "../api/types";
import { count } from "../geo/format";
import { comparison } from "../review/comparison";

export function Images({ progress }: { progress: Assessment }) {
  const { scene_name, before_scene, before_scene_name, tiles_not_analysed, tiles_total } = progress;
  return (
    <details class="fold" open data-images={progress.input_kind}>
      <summary>Images</summary>
      <dl class="facts">
        <dt>After</dt>
        <dd>{scene_name}</dd>
        <dt>Before</dt>
        <dd>{before_scene === null ? "none" : before_scene_name}</dd>
      </dl>
      {comparison(progress).map((sentence) => (
        <p key={sentence} class="quiet">{sentence}</p>
      ))}
      {progress.warnings.map((warning) => (
        <p key={warning} class="notice warn">{warning}</p>
      ))}
      {tiles_not_analysed > 0 && (
        <p class="notice warn">
          {count(tiles_not_analysed, "tile", "tiles")} out of {tiles_total} could not be read: nothing was looked
          for there.
        </p>
      )}
    </details>
  );
}
