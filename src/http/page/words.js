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
const STATES = { indexed: "with faces", no_faces: "no face found", low_quality: "too poor to look at", rejected: "not usable" };
const number = new Intl.NumberFormat("en");

const plain = (code) => String(code).toLowerCase().replaceAll("_", " ");

export const qualityReason = (code) => QUALITY[code] ?? plain(code);
export const rejectedReason = (code) => REJECTED[code] ?? QUALITY[code] ?? plain(code);
export const stateOf = (code) => STATES[code] ?? plain(code);
export const digits = (n) => number.format(n);

/** `1 face`, `2,000 faces`. */
export function count(n, one, many = `${one}s`) {
  return `${digits(n)} ${n === 1 ? one : many}`;
}

export const percent = (part) => `${Math.round(Math.min(1, Math.max(0, part)) * 100)} %`;

export const cosine = (value) => value.toFixed(2);

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

/** The last part of a path: what a narrow tile has room for. */
export const fileName = (path) => path.slice(path.lastIndexOf("/") + 1);

export const short = (id) => String(id).slice(0, 8);
