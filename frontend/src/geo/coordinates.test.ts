import { expect, it } from "vitest";

import { decimal, mgrs, understood, utm } from "./coordinates";
import { latitudeAt, mercatorY } from "./places";

const place = (text: string): { lng: number; lat: number } => {
  const found = understood(text);
  if (found.is !== "place") throw new Error(`${text}: ${JSON.stringify(found)}`);
  return found.place;
};

const sentence = (text: string): string => {
  const found = understood(text);
  return found.is === "wrong" ? found.message : `understood as ${JSON.stringify(found)}`;
};

/** Computed by PROJ: longitude, latitude, UTM. */
const KNOWN = [
  [33.3025, 35.1975, "36 north 527537 3894987"],
  [29.2285, -1.6792, "35 south 747933 9814256"],
  [-68.303, -54.8019, "19 south 544805 3927030"],
  [-72.3388, 18.5392, "18 north 780934 2051918"],
  [35.999999, 36.2, "36 north 769736 4010305"], // a zone's last metre
  [36, 36.2, "37 north 230264 4010305"], // and the next one's first
  [36.81, 0.00001, "37 north 256248 1"],
  [36.81, -0.00001, "37 south 256248 9999999"],
  [179.999, -17.8, "60 south 817957 8029396"],
  [-179.999, -17.8, "1 south 182043 8029396"],
  [5.3221, 60.3913, "32 north 297354 6700648"], // Norway's wider zone
  [15.6469, 78.2232, "33 north 514739 8683360"], // Svalbard's
  [-60, -79.5, "21 south 438993 1172650"],
] as const;

it.each(KNOWN)("writes %f, %f as UTM, and reads it again", (lng, lat, written) => {
  expect(utm({ lng, lat })).toBe(written);
  const back = place(written);
  expect(back.lat).toBeCloseTo(lat, 4);
  expect(Math.abs(back.lng - lng)).toBeLessThan(0.0001 / Math.cos((lat * Math.PI) / 180));
});

it("writes MGRS as published, and reads it with and without spaces, in either case", () => {
  expect(mgrs({ lng: 2.2945, lat: 48.8582 })).toBe("31U DQ 48251 11932"); // the Eiffel tower
  for (const text of ["31U DQ 48251 11932", "31UDQ4825111932", "31u dq 4825111932"]) {
    expect(place(text).lat).toBeCloseTo(48.8582, 4);
    expect(place(text).lng).toBeCloseTo(2.2945, 4);
  }
  expect(place("31U DQ 48 11").lat).toBeCloseTo(48.858, 2); // the middle of a square kilometre
});

it("comes back to within a metre from anywhere by each form", () => {
  let seed = 7;
  let worst = "";
  let farthest = 0;
  const random = (): number => (seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647;
  for (let i = 0; i < 1000; i++) {
    const at = { lng: random() * 360 - 180, lat: random() * 163.9 - 79.95 };
    for (const write of [decimal, utm, mgrs]) {
      const text = write(at);
      if (text === null) throw new Error("inside the limits");
      const back = place(text);
      const metres = Math.hypot((back.lat - at.lat) * 111_000, (back.lng - at.lng) * 111_000 * Math.cos((at.lat * Math.PI) / 180));
      if (metres > farthest) [farthest, worst] = [metres, `${at.lat}, ${at.lng} by ${text}`];
    }
  }
  expect(farthest, worst).toBeGreaterThan(0);
  expect(farthest, worst).toBeLessThan(1.1);
});

it("has neither UTM nor MGRS near the poles, and says so of letters from there", () => {
  for (const lat of [84.01, 90, -80.01, -90]) {
    expect(utm({ lng: 10, lat })).toBeNull();
    expect(mgrs({ lng: 10, lat })).toBeNull();
  }
  expect(utm({ lng: 180, lat: 10 })).toBe(utm({ lng: -180, lat: 10 }));
  for (const text of ["31A DQ 48251 11932", "31Z DQ 48251 11932", "31 Y 500000 9000000"]) {
    expect(sentence(text)).toContain("80° south and 84° north");
  }
});

it.each([
  ["35.1975, 33.3025"],
  ["35.1975 33.3025"],
  ["35.1975;33.3025"],
  [" 35.1975° N,  33.3025° E "],
  ["N35.1975 E33.3025"],
  ["33.3025E, 35.1975N"],
  ["35,1975 33,3025"],
  ["35,1975; 33,3025"],
])("reads decimal degrees as in %s", (text) => {
  expect(place(text)).toEqual({ lng: 33.3025, lat: 35.1975 });
});

it("reads south and west by sign and by letter", () => {
  expect(place("-1.5, -70.25")).toEqual({ lng: -70.25, lat: -1.5 });
  expect(place("1.5 S 70.25 W")).toEqual({ lng: -70.25, lat: -1.5 });
  expect(place("35,33")).toEqual({ lng: 33, lat: 35 });
});

it.each([
  ["", "Give a coordinate"],
  ["135.2, 33.3", "seem to be swapped"],
  ["95, 120", "at most 90"],
  ["35.2, 181", "at most 180"],
  ["88, 10", "ends at 85"],
  ["35.2 N 33.3 N", "one latitude and one longitude"],
  ["35°12'30\" N 33°18' E", "decimal degrees"],
  ["36S WD 2754 94879", "as many digits"],
  ["36S WD 275439487", "even number"],
  ["36S WD 275431948791", "five digits"],
  ["36S ZZ 27543 94879", "no square ZZ"],
  ["61S WD 27543 94879", "no square WD in zone 61S"],
  ["36S WP 27543 94879", "no square WP"],
  ["61 north 527543 3894879", "from 1 to 60"],
  ["36 north 5275430 3894879", "no such place"],
  ["36 I 527543 3894879", "no band I"],
  ["36T 527543 3894879", "not in band T"],
  ["the mosque", "not understood"],
])("says what is wrong with %s", (text, why) => {
  expect(sentence(text)).toContain(why);
});

it("does not guess which half of the globe the S of UTM means", () => {
  expect(sentence("36S 527543 3894879")).toContain("36 north or 36 south");
  expect(place("36S 527543 8894879").lat).toBeLessThan(0); // only the south has it
  expect(place("36 south 527543 3894879").lat).toBeLessThan(-50);
});

it("takes digits and letters of an id for an id", () => {
  for (const text of ["abcd1234", "12345678", "ABCD1234-0000-4000-8000-000000000001"]) {
    expect(understood(text)).toEqual({ is: "id", text });
  }
});

it("knows how far down the map a latitude lies", () => {
  expect(mercatorY(0)).toBeCloseTo(0.5, 12);
  for (const lat of [-70, -1.7, 35.2, 84]) expect(latitudeAt(mercatorY(lat))).toBeCloseTo(lat, 9);
});
