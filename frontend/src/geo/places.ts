/** A place on the ground, and what a text may name. WGS 84 degrees. */

export interface Place {
  readonly lng: number;
  readonly lat: number;
}

export type Found =
  | { readonly is: "place"; readonly place: Place }
  /** It may be (the beginning of) a building's id: the server knows. */
  | { readonly is: "id"; readonly text: string }
  | { readonly is: "wrong"; readonly message: string };

/** How far down the Web Mercator map a latitude lies: 0 at its north end, 1 at its south end. */
export function mercatorY(lat: number): number {
  const sine = Math.sin((lat * Math.PI) / 180);
  return 0.5 - Math.log((1 + sine) / (1 - sine)) / (4 * Math.PI);
}

/** The latitude that lies so far down; the inverse of `mercatorY`. */
export const latitudeAt = (y: number): number =>
  (Math.atan(Math.sinh(Math.PI * (1 - 2 * y))) * 180) / Math.PI;
