// Codes and numbers, in words.

const QUALITY = {
  TOO_SMALL: "too small", BLURRED: "blurred", TOO_DARK: "too dark", TOO_BRIGHT: "too bright", LOW_CONTRAST: "low contrast",
  UNEVEN_LIGHT: "uneven light", EXTREME_POSE: "turned away", OCCLUDED: "covered", LOW_SCORE: "unsure if a face",
  LOW_NORM: "hard to recognise", NOT_A_FACE: "probably not a face",
};
const REJECTED = {
  EMPTY: "empty file", UNKNOWN_FORMAT: "not a photo", TRUNCATED: "cut short", CORRUPT: "damaged",
  TOO_MANY_BYTES: "file too large", TOO_MANY_PIXELS: "too many pixels", DECODER_MISSING: "HEIC cannot be read here",
  MISSING: "gone", UNREADABLE: "cannot be read", CRASHED: "broke the decoder", ISOLATED: "broke the model",
  TOO_MANY_ATTEMPTS: "given up", BAD_MESSAGE: "unreadable message", FORGOTTEN: "forgotten",
};
const REMEDIES = {
  EMPTY: "Copy the file again from where it came from.", TRUNCATED: "Copy the file again from where it came from.", CORRUPT: "Copy the file again, or save it anew in another program.",
  UNKNOWN_FORMAT: "Choose a JPEG, PNG, WebP or HEIC photo.", UNSUPPORTED_MEDIA_TYPE: "Choose a JPEG, PNG, WebP or HEIC photo.",
  DECODER_MISSING: "Save it as a JPEG, or install libheif1 on the server.", TOO_MANY_BYTES: "Choose a smaller file.", TOO_MANY_PIXELS: "Choose a smaller picture.",
  BUSY: "Wait a moment and choose it again.", RATE: "Wait a minute and choose it again.", TIMEOUT: "Choose it again.",
};
const STATES = { indexed: "with faces", no_faces: "no face found", low_quality: "too poor to look at", rejected: "not usable" };
const DATE = /^(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?$/;
const number = new Intl.NumberFormat("en");

const plain = (code) => String(code).toLowerCase().replaceAll("_", " ");

export const qualityReason = (code) => QUALITY[code] ?? plain(code);
export const rejectedReason = (code) => REJECTED[code] ?? QUALITY[code] ?? plain(code);
/** What to do about a photo that was refused with a code; empty where nothing is known. */
export const remedy = (code) => REMEDIES[code] ?? "";
export const stateOf = (code) => STATES[code] ?? plain(code);
export const digits = (n) => number.format(n);

/** `1 face`, `2,000 faces`. */
export function count(n, one, many = `${one}s`) {
  return `${digits(n)} ${n === 1 ? one : many}`;
}

export const percent = (part) => `${Math.round(Math.min(1, Math.max(0, part)) * 100)} %`;

export const cosine = (value) => value.toFixed(2);

const LIKENESS = [[0.8, "almost the same picture"], [0.6, "very much alike"], [0.45, "alike"], [0.3, "a little alike"]];

/** How much alike two faces with a similarity are. */
export const likeness = (similarity) => LIKENESS.find(([least]) => similarity >= least)?.[1] ?? "not alike";

/** How far the best person is ahead of the next by a difference of similarities. */
export const lead = (margin) => (margin >= 0.3 ? "far ahead of the next person" : margin >= 0.1 ? "clearly ahead of the next person" : "hardly ahead of the next person");

export function bytes(n) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let at = 0;
  let size = n;
  while (size >= 1000 && at < units.length - 1) {
    size /= 1000;
    at += 1;
  }
  return at === 0 ? count(n, "byte") : `${size < 10 ? size.toFixed(1) : Math.round(size)} ${units[at]}`;
}

export const isDate = (text) => DATE.test(text);

/** `1984-05` as `May 1984`; a text that is no date stays as it is. */
export function birthDate(text) {
  const parts = DATE.exec(text);
  if (!parts) return text;
  const [, year, month, day] = parts;
  const date = new Date(Date.UTC(2000, Number(month ?? 1) - 1, Number(day ?? 1)));
  date.setUTCFullYear(Number(year));
  const format = { timeZone: "UTC", year: "numeric", month: month && "long", day: day && "numeric" };
  return new Intl.DateTimeFormat("en-GB", format).format(date);
}

/** The last part of a path: what a narrow tile has room for. */
export const fileName = (path) => path.slice(path.lastIndexOf("/") + 1);
