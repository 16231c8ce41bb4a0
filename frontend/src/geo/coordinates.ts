/**
 * Places as people write them: decimal degrees (latitude first), UTM and MGRS, all on WGS 84.
 * Loaded late, with the library that computes UTM and MGRS: see `panels/Place.tsx`.
 */
import Mgrs, { LatLon, Utm } from "geodesy/mgrs.js";

import type { Found, Place } from "./places";

const UTM_SOUTH = -80; // degrees of latitude that UTM and MGRS reach
const UTM_NORTH = 84;
const MAP_END = 85.05; // degrees of latitude that Web Mercator reaches
const BANDS = "CDEFGHJKLMNPQRSTUVWX"; // of 8 degrees from 80 south; the last reaches to 84 north
const DEGREES_PER_M = 1 / 110_574; // of latitude, where a degree is shortest

export const OUTSIDE = "UTM and MGRS end at 80° south and 84° north";

/** "35.197500, 33.302500": latitude, longitude; the last digit is a tenth of a metre. */
export const decimal = ({ lng, lat }: Place): string => `${lat.toFixed(6)}, ${around(lng).toFixed(6)}`;

/** "36 north 527543 3894879": zone, half of the globe, metres east and north; null near the poles. */
export function utm(place: Place): string | null {
  const at = gridded(place);
  if (!at) return null;
  return `${at.zone} ${at.hemisphere === "N" ? "north" : "south"} ${at.easting.toFixed(0)} ${at.northing.toFixed(0)}`;
}

/** "36S WD 27543 94879": the square of one metre that the place lies in; null near the poles. */
export function mgrs(place: Place): string | null {
  return gridded(place)?.toMgrs().toString() ?? null;
}

/** What a person means by a text: a place, perhaps the id of a building, or a sentence why neither. */
export function understood(text: string): Found {
  const said = text.trim().replace(/\s+/g, " ");
  if (said === "") return wrong("Give a coordinate, or the id of a building.");
  if (/^[0-9a-f-]{4,36}$/i.test(said) && /[0-9a-f]{4}/i.test(said)) return { is: "id", text: said };
  return fromMgrs(said) ?? fromUtm(said) ?? fromDegrees(said) ?? wrong(FORMS);
}

const FORMS =
  "That is not understood. Give latitude and longitude in decimal degrees (35.1975, 33.3025), UTM " +
  "(36 north 527543 3894879), MGRS (36S WD 27543 94879), or the first characters of a building's id.";

const wrong = (message: string): Found => ({ is: "wrong", message });

const around = (lng: number): number => ((((lng + 180) % 360) + 360) % 360) - 180;

function gridded({ lng, lat }: Place): Utm | null {
  if (!(lat >= UTM_SOUTH && lat <= UTM_NORTH)) return null;
  return new LatLon(lat, around(lng)).toUtm();
}

// --- MGRS

const MGRS = /^(\d{1,2}) ?([A-Z]) ?([A-Z]{2}) ?(\d+)(?: (\d+))?$/;

function fromMgrs(said: string): Found | null {
  const parts = MGRS.exec(said.toUpperCase());
  if (!parts) return null;
  const [, zone = "", band = "", square = "", first = "", second] = parts;
  const digits = second === undefined ? first.length / 2 : first.length;
  if (second !== undefined && second.length !== first.length) {
    return wrong("An MGRS reference has as many digits for east as for north.");
  }
  if (!Number.isInteger(digits)) {
    return wrong("An MGRS reference has an even number of digits: half for east, half for north.");
  }
  if (digits > 5) return wrong("An MGRS reference has at most five digits for east and five for north.");
  const east = second === undefined ? first.slice(0, digits) : first;
  const north = second ?? first.slice(digits);
  const size_m = 10 ** (5 - digits);
  const middle = (text: string): number => Number(text) * size_m + size_m / 2;
  if (!BANDS.includes(band)) return wrong(`There is no band ${band} in MGRS. ${OUTSIDE}.`);
  try {
    const reference = new Mgrs(Number(zone), band, square[0] ?? "", square[1] ?? "", middle(east), middle(north));
    const place = placed(reference.toUtm());
    if (inBand(place.lat, band, size_m) && nearZone(place.lng, Number(zone), place.lat)) {
      return { is: "place", place };
    }
  } catch {
    // said below: the library's reasons are for programmers
  }
  return wrong(`There is no square ${square} in zone ${zone}${band}. Check the letters.`);
}

function inBand(lat: number, band: string, tolerance_m: number): boolean {
  const south = UTM_SOUTH + 8 * BANDS.indexOf(band);
  const north = band === "X" ? UTM_NORTH : south + 8;
  const beyond = tolerance_m * DEGREES_PER_M;
  return lat >= south - beyond && lat <= north + beyond;
}

/** Zones are 6 degrees wide, but by Norway and Svalbard, where some are wider by up to 6. */
function nearZone(lng: number, zone: number, lat: number): boolean {
  const middle = 6 * zone - 183;
  const off = Math.abs(around(lng - middle));
  return off <= (lat > 56 ? 9.5 : 4);
}

// --- UTM

const UTM = /^(?:zone )?(\d{1,2}) ?(north|south|n|s|[a-z])[ ,]+(?:e ?)?(\d+(?:\.\d+)?) ?(?:m ?)?e?[ ,]+(?:n ?)?(\d+(?:\.\d+)?) ?(?:m ?)?n?$/i;

function fromUtm(said: string): Found | null {
  const parts = UTM.exec(said);
  if (!parts) return null;
  const [, zone = "", word = "", east = "", north = ""] = parts;
  const letter = word.toUpperCase();
  if (Number(zone) < 1 || Number(zone) > 60) return wrong("UTM zones are numbered from 1 to 60.");
  const at = (half: "N" | "S"): Place | null => {
    try {
      return placed(new Utm(Number(zone), half, Number(east), Number(north)));
    } catch {
      return null;
    }
  };
  const impossible = wrong("There is no such place in UTM: check metres east (100000 to 900000) and north.");
  const answer = (place: Place | null): Found =>
    place && nearZone(place.lng, Number(zone), place.lat) ? { is: "place", place } : impossible;
  if (letter === "NORTH" || letter === "SOUTH") return answer(at(letter === "NORTH" ? "N" : "S"));
  if (letter === "S") {
    const asBand = at("N");
    if (asBand && inBand(asBand.lat, "S", 1)) {
      return wrong(
        `The letter S can mean the southern half of the globe, or the band from 32° to 40° north. ` +
          `Write ${zone} north or ${zone} south instead.`,
      );
    }
    return answer(at("S"));
  }
  if (letter === "N") return answer(at("N"));
  if (!BANDS.includes(letter)) return wrong(`There is no band ${letter} in UTM. ${OUTSIDE}.`);
  const place = at(letter > "N" ? "N" : "S");
  if (place && !inBand(place.lat, letter, 1)) {
    return wrong(`That place is not in band ${letter}. Check the letter, or write north or south instead.`);
  }
  return answer(place);
}

function placed(at: Utm): Place {
  const { lat, lon } = at.toLatLon();
  return { lng: around(lon), lat };
}

// --- decimal degrees

const NUMBER = String.raw`([+-]?\d+(?:[.,]\d+)?) ?°?`;
const DEGREES = new RegExp(
  `^([NSEW])? ?${NUMBER} ?([NSEW])?(?: ?[,;] ?| )([NSEW])? ?${NUMBER} ?([NSEW])?$`,
  "i",
);

function fromDegrees(said: string): Found | null {
  if (/[′'″"]/.test(said)) {
    return wrong("Minutes and seconds are not understood. Give decimal degrees, such as 35.1975, 33.3025.");
  }
  // "35,5" is two whole numbers, and "35,5 33,3" two with decimals
  const commas = said.match(/,/g)?.length ?? 0;
  const parts = DEGREES.exec(commas === 1 ? said.replace(",", " ; ").replace(/ +/g, " ") : said);
  if (!parts) return null;
  const [, before1, one = "", after1, before2, other = "", after2] = parts;
  const letters = [before1 ?? after1 ?? "", before2 ?? after2 ?? ""].map((letter) => letter.toUpperCase());
  const numbers = [one, other].map((text, index) => {
    const value = Number(text.replace(",", "."));
    return /[SW]/.test(letters[index] ?? "") ? -value : value;
  });
  if ((before1 && after1) || (before2 && after2)) return null;
  const swapped = /[EW]/.test(letters[0] ?? "") || /[NS]/.test(letters[1] ?? "");
  const same = letters.every((letter) => /[NS]/.test(letter)) || letters.every((letter) => /[EW]/.test(letter));
  if (same) return wrong("Give one latitude and one longitude.");
  const [lat = NaN, lng = NaN] = swapped ? numbers.reverse() : numbers;
  if (Math.abs(lat) > 90 && Math.abs(lng) <= 90) {
    return wrong("Latitude comes first, and is at most 90 degrees. The two seem to be swapped.");
  }
  if (Math.abs(lat) > 90 || Math.abs(lng) > 180) {
    return wrong("Latitude is at most 90 degrees, and longitude at most 180.");
  }
  if (Math.abs(lat) > MAP_END) return wrong("The map ends at 85 degrees north and south.");
  return { is: "place", place: { lng, lat } };
}
