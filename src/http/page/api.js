// The web API: one call a function, refusals as `Problem`s that a person can read.
import { openDialog } from "./dialog.js";
import { h } from "./element.js";

const STORE = "muster-api-key";
const TRIES = 3;
const LONGEST_PAUSE = 10;

/** A refusal, in words. `status` 0: no answer at all. */
export class Problem extends Error {
  constructor(status, body = {}, wait = null) {
    super(body.detail || body.title || `The server answered ${status}.`);
    Object.assign(this, { status, code: body.code ?? null, wait });
  }

  static async of(answer) {
    const body = await answer.json().catch(() => ({ title: `The server answered ${answer.status}.` }));
    const wait = Number.parseInt(answer.headers.get("Retry-After") ?? "", 10);
    return new Problem(answer.status, body ?? {}, Number.isNaN(wait) ? null : wait);
  }
}

export const apiKey = () => sessionStorage.getItem(STORE);

const gallery = new URLSearchParams(location.search).get("gallery");

/** A path of the API, about the gallery that the page's own address names. */
export const address = (path) => (gallery ? `${path}${path.includes("?") ? "&" : "?"}gallery=${encodeURIComponent(gallery)}` : path);

// Many calls may be refused at once; one question is enough.
let asking = null;

function askKey(wrong) {
  asking ??= openDialog({
    title: "API key",
    testid: "key-dialog",
    body: h("div", { class: "stack" },
      h("p", null, wrong ? "The server does not accept this key." : "This server asks for a key."),
      h("label", { class: "field" }, "Key", h("input", { type: "password", name: "key", autocomplete: "off", required: true }))),
    actions: [{ label: "Use this key", kind: "primary", value: (dialog) => dialog.querySelector("input").value.trim() || undefined }],
  }).then((key) => {
    if (!key) throw new Problem(401, { detail: "An API key is needed. Reload the page to enter one." });
    sessionStorage.setItem(STORE, key);
  }).finally(() => { asking = null; });
  return asking;
}

const pause = (seconds, signal) => new Promise((go, stop) => {
  const timer = setTimeout(go, seconds * 1000);
  signal?.addEventListener("abort", () => { clearTimeout(timer); stop(signal.reason); }, { once: true });
});

// randomUUID is not there on plain http from another machine.
const token = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");

/** The answer of one call. What is safe to repeat is tried again: reading, and posts, which carry a key for that. */
export async function call(method, path, { body, type, signal, cache } = {}) {
  const headers = {};
  if (type) headers["Content-Type"] = type;
  if (method === "POST") headers["Idempotency-Key"] = token();
  const again = method === "GET" || method === "POST";
  for (let tries = 1; ; tries += 1) {
    const key = apiKey();
    if (key) headers.Authorization = `Bearer ${key}`;
    let answer;
    try {
      // "no-cache" asks with If-None-Match and takes the stored answer on a 304.
      answer = await fetch(address(path), { method, headers, body, signal, cache: cache ?? (method === "GET" ? "no-cache" : "no-store") });
    } catch (error) {
      if (signal?.aborted) throw error;
      if (!again || tries >= 2) throw new Problem(0, { detail: "The server does not answer. Is muster still running?" });
      await pause(0.5, signal);
      continue;
    }
    if (answer.ok) return answer;
    const problem = await Problem.of(answer);
    if (problem.status === 401) {
      // Somebody may have answered the question meanwhile.
      if (apiKey() === key) await askKey(key !== null);
      continue;
    }
    // What was asked for may still be going on.
    const late = method === "POST" && problem.code === "TIMEOUT";
    const busy = (problem.status === 429 || problem.status === 503) && !late;
    if (!busy || !again || tries >= TRIES) throw problem;
    await pause(Math.min(problem.wait ?? 1, LONGEST_PAUSE), signal);
  }
}

export const get = async (path, signal) => (await call("GET", path, { signal })).json();

async function send(method, path, value, signal) {
  const body = value === undefined ? {} : { body: JSON.stringify(value), type: "application/json" };
  return (await call(method, path, { ...body, signal })).json();
}
export const post = (path, value) => send("POST", path, value);
export const patch = (path, value) => send("PATCH", path, value);
export const remove = (path) => send("DELETE", path);

/** A form with files: the browser writes its type, with the boundary. */
export const postForm = async (path, form) => (await call("POST", path, { body: form })).json();

export async function recognize(file, signal) {
  const type = file.type || "application/octet-stream";
  return (await call("POST", "/v1/recognize?limit=3", { body: file, type, signal })).json();
}

/** `path` with the parameters that have a value. */
export function query(path, params) {
  const given = Object.entries(params).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const text = new URLSearchParams(given.map(([key, value]) => [key, String(value)])).toString();
  return text ? `${path}?${text}` : path;
}
