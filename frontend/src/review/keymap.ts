/** Which key does what, for one person. Pure: no page, no listener. */
import { ACTIONS, type Action, type ActionName } from "./actions";

/** Keys of every action, in the order of `ACTIONS`. An action without any has no key. */
export type Keymap = ReadonlyMap<ActionName, readonly string[]>;

/** As much of a KeyboardEvent as decides. */
export interface Press {
  readonly key: string;
  readonly code: string;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
  readonly altKey: boolean;
  readonly shiftKey: boolean;
  getModifierState?(name: string): boolean;
}

export type Mode = "review" | "drawing";

/** Ours; raised when what is kept changes its shape. What another version kept is not read. */
const VERSION = 1;

export const defaultKeymap = (): Keymap => new Map(ACTIONS.map(({ name, keys }) => [name, keys]));

/**
 * What a key press is called, the likeliest first; none with Alt, which is the browser's.
 * It goes by the sign on the key, so that every layout works. Only where the sign cannot be one of
 * ours its place counts: letters of another script, and digits that take Shift (AZERTY).
 */
export function namesOf(press: Press): string[] {
  const { key, code, shiftKey } = press;
  const composed = press.getModifierState?.("AltGraph") ?? false; // that is how some signs are typed
  if (press.altKey && !composed) return [];
  const letter = key.length === 1 && key.toLowerCase() !== key.toUpperCase();
  const named = key.length > 1 || key === " ";
  const ctrl = (press.ctrlKey || press.metaKey) && !composed ? "Ctrl+" : "";
  const shift = shiftKey && (letter || named) ? "Shift+" : "";
  const names = [ctrl + shift + (letter ? key.toLowerCase() : key)];
  if (!composed && key.length === 1) {
    const [, place = ""] = /^Key([A-Z])$/.exec(code) ?? [];
    const [, digit = ""] = /^Digit([0-9])$/.exec(code) ?? [];
    if (place && key > "\x7f") names.push(ctrl + (shiftKey ? "Shift+" : "") + place.toLowerCase());
    if (digit && !shiftKey && !/[0-9]/.test(key)) names.push(ctrl + digit);
  }
  return names;
}

/** The action that a press stands for, and the name that it was found by. */
export function actionFor(
  keymap: Keymap,
  press: Press,
  mode: Mode,
): { action: Action; key: string } | undefined {
  for (const key of namesOf(press)) {
    const action = ACTIONS.find(
      ({ name, modes }) => modes.includes(mode) && keymap.get(name)?.includes(key),
    );
    if (action) return { action, key };
  }
  return undefined;
}

/** Another action that this key does where this one is done, too. */
export function clash(keymap: Keymap, name: ActionName, key: string): Action | undefined {
  const modes = ACTIONS.find((one) => one.name === name)?.modes ?? [];
  return ACTIONS.find(
    (other) =>
      other.name !== name &&
      other.modes.some((mode) => modes.includes(mode)) &&
      keymap.get(other.name)?.includes(key),
  );
}

/** Why a key cannot be given to an action; "" if it can. */
export function unfit(press: Press): string {
  if (press.ctrlKey || press.metaKey || press.altKey) {
    return "Keys with Ctrl, Alt or Cmd belong to the browser. Choose a single key, or one with Shift.";
  }
  const { key } = press;
  if (key.length === 1 || key === "Enter" || key === "Delete" || key === "Backspace") return "";
  return "That key moves about the page or belongs to the browser. Choose a letter, a digit or a sign.";
}

/** Only these keys do it from now on, and they do nothing else where the two would meet. */
export function withKeys(keymap: Keymap, name: ActionName, keys: readonly string[]): Keymap {
  const changed = new Map(keymap);
  for (const key of keys) {
    const other = clash(changed, name, key)?.name;
    if (other) changed.set(other, (changed.get(other) ?? []).filter((one) => one !== key));
  }
  return changed.set(name, keys);
}

/** What differs from the defaults, as text to keep. */
export function kept(keymap: Keymap, on: boolean): string {
  const own = ACTIONS.filter(({ name, keys }) => String(keymap.get(name)) !== String(keys));
  const keys = Object.fromEntries(own.map(({ name }) => [name, keymap.get(name)]));
  return JSON.stringify({ version: VERSION, on, keys });
}

/** What was kept; the defaults where nothing was, or nothing that can be read. */
export function restored(text: string | null): { keymap: Keymap; on: boolean } {
  let keymap = defaultKeymap();
  const found = parsed(text);
  if (found?.["version"] !== VERSION) return { keymap, on: true };
  const keys = found["keys"];
  for (const { name, fixed } of ACTIONS) {
    const own: unknown = (keys as Record<string, unknown> | undefined)?.[name];
    const fits = Array.isArray(own) && own.every((key) => typeof key === "string");
    // A key that they chose stays theirs, though an action came later that has it by default.
    if (fits && !fixed) keymap = withKeys(keymap, name, own as string[]);
  }
  return { keymap, on: found["on"] !== false };
}

function parsed(text: string | null): Record<string, unknown> | null {
  try {
    return JSON.parse(text ?? "null") as Record<string, unknown> | null;
  } catch {
    return null; // what nobody can read is as good as nothing
  }
}

const SIGNS: Record<string, string> = {
  " ": "Space",
  Escape: "Esc",
  ArrowLeft: "←",
  ArrowUp: "↑",
  ArrowRight: "→",
  ArrowDown: "↓",
};

/** A key as people read it: "Ctrl Z", "Space", "?". */
export function shown(key: string): string {
  const [, modifiers = "", sign = ""] = /^((?:(?:Ctrl|Shift)\+)*)(.+)$/s.exec(key) ?? [];
  return modifiers.replaceAll("+", " ") + (SIGNS[sign] ?? (sign.length === 1 ? sign.toUpperCase() : sign));
}

/** A key as assistive technology is told: "Control+Z", "Space". */
export const spoken = (key: string): string =>
  key === " " ? "Space" : key.replace("Ctrl+", "Control+").replace(/(^|\+)([a-z])$/, (sign) => sign.toUpperCase());
