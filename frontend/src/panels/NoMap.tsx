/** In the map's place, where there is none: why, and what works without it. */

const NO_WEBGL =
  "This browser cannot draw the map: it has no WebGL, or it is switched off. Switch on hardware " +
  "acceleration in its settings, or use another browser.";
const NOT_ARRIVED = "The map could not be loaded. Check the connection, then load the page again.";

export function NoMap({ error }: { error: unknown }) {
  return (
    <div class="no-map" role="alert">
      <p>{isWebGl(error) ? NO_WEBGL : NOT_ARRIVED}</p>
      <p>The list of buildings and every decision on them work without it; drawing does not.</p>
      <button type="button" onClick={() => location.reload()}>
        Load the page again
      </button>
    </div>
  );
}

/** MapLibre says so in the text of its error only. */
const isWebGl = (error: unknown): boolean => error instanceof Error && /webgl/i.test(error.message);
