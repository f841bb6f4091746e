// Indexing: start, watch, stop.
import { get, post, remove } from "./api.js";
import { announce, busy } from "./change.js";
import { button, h, outside } from "./element.js";
import { events } from "./events.js";
import { tell, toast } from "./toast.js";
import { count, digits } from "./words.js";

const STATES = { running: "Running", done: "Done", stopped: "Stopped", failed: "Failed" };
const AGAIN = 2000;
const time = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

const countsOf = (job) => [
  [job.counts.indexed, "with faces"], [job.counts.no_faces, "without a face"], [job.counts.low_quality, "too poor"],
  [job.counts.rejected, "not usable"], [job.counts.released, "put off"],
].filter(([n]) => n > 0).map(([n, words]) => `${digits(n)} ${words}`).join(" · ");

function progress(job) {
  if (job.left === null) return h("progress", { "aria-label": "Progress" });
  return h("progress", { "aria-label": "Progress", max: Math.max(1, job.found), value: job.found - job.left });
}

export function jobsView(main) {
  const leave = new AbortController();
  const totals = h("ul", { class: "tiles", "data-testid": "totals" });
  const now = h("section", { class: "panel", "aria-label": "Indexing now", "data-testid": "job", hidden: true });
  const status = h("p", { class: "unseen", role: "status" });
  const past = h("ul", { class: "jobs" });
  const startButton = button("Index now", start, { class: "primary", "data-testid": "job-start" });
  main.append(
    h("div", { class: "bar" }, h("h1", { tabindex: "-1" }, "Indexing"), startButton),
    h("p", { class: "hint" }, "Looks for new and changed photos in the library's folder, finds the faces in them and groups them."),
    totals, now, status, h("h2", null, "Before"), past);
  let watched = null;
  let said = "";

  function draw(job) {
    now.hidden = false;
    startButton.disabled = job.state === "running";
    const done = job.left === null ? `${count(job.found, "photo")} found so far` : `${digits(job.found - job.left)} of ${count(job.found, "photo")}`;
    const parts = {
      state: h("h2", { "data-testid": "job-state" }, STATES[job.state] ?? job.state),
      line: h("p", { "data-testid": "job-line" }, `${done} · ${count(job.faces, "face")}`),
    };
    const stopping = now.querySelector("[data-testid=job-stop]");
    // The stop button stays the same element, so that it keeps the focus.
    const stop = job.state === "running" ? stopping ?? button("Stop", () => halt(job.id), { "data-testid": "job-stop" }) : null;
    const rest = [parts.state, job.state === "running" && progress(job), parts.line, h("p", { class: "counts" }, countsOf(job)), job.detail && h("p", null, outside(job.detail))].filter(Boolean);
    if (stop && stop === stopping) {
      while (now.firstChild !== stop) now.firstChild.remove();
      stop.before(...rest);
    } else {
      now.replaceChildren(...rest, ...(stop ? [stop] : []));
    }
    const tenth = job.left === null ? "" : `${Math.floor((10 * (job.found - job.left)) / Math.max(1, job.found)) * 10} %`;
    const words = job.state === "running" ? `Running ${tenth}` : `${STATES[job.state] ?? job.state}: ${done}`;
    if (words !== said) status.textContent = said = words;
  }

  async function watch(id) {
    if (watched === id) return;
    watched = id;
    const path = `/v1/jobs/${encodeURIComponent(id)}`;
    let job = null;
    while (!leave.signal.aborted && watched === id) {
      try {
        for await (job of events(`${path}/events`, leave.signal)) draw(job);
        job = await get(path, leave.signal);
      } catch (error) {
        if (leave.signal.aborted) return;
        if (error.status >= 400 && error.status < 500) return tell(error);
      }
      if (job && job.state !== "running") break;
      // The line was cut: the next stream begins with where it is.
      await new Promise((go) => setTimeout(go, AGAIN));
    }
    if (leave.signal.aborted || !job) return;
    watched = null;
    draw(job);
    announce(job);
  }

  async function start() {
    startButton.disabled = true;
    try {
      const job = await post("/v1/jobs", { kind: "index" });
      draw(job);
      watch(job.id);
      now.querySelector("button")?.focus();
    } catch (error) {
      startButton.disabled = false;
      if (error.code === "JOB_RUNNING") await load();
      else tell(error);
    }
  }

  async function halt(id) {
    if (await busy(remove(`/v1/jobs/${encodeURIComponent(id)}`))) toast("It stops after the photos that are under way.");
  }

  async function load() {
    const [jobs, all] = await Promise.all([get("/v1/jobs"), get("/v1/totals")]);
    const tile = (n, words, href) => h("li", null, h("a", { href }, h("b", null, digits(n ?? 0)), ` ${words}`));
    totals.replaceChildren(
      tile(all.images, "photos", "#/photos"), tile(all.faces, "faces", "#/people"), tile(all.groups, "people", "#/people"), tile(all.ungrouped, "faces in no group", "#/faces"),
      h("li", null, h("b", null, digits(all.non_faces ?? 0)), " not faces"),
      tile(all.no_faces, "without a face", "#/photos?state=no_faces"), tile(all.low_quality, "too poor", "#/photos?state=low_quality"), tile(all.rejected, "not usable", "#/photos?state=rejected"));
    const running = jobs.items.find((job) => job.state === "running");
    if (running) {
      draw(running);
      watch(running.id);
    }
    const before = jobs.items.filter((job) => job.state !== "running");
    past.replaceChildren(...before.map((job) => h("li", { "data-testid": "past-job" },
      h("b", null, STATES[job.state] ?? job.state), ` · ${time.format(new Date(job.started * 1000))} · ${count(job.found, "photo")}, ${count(job.faces, "face")}`,
      h("span", { class: "counts" }, countsOf(job)), job.detail && h("p", null, outside(job.detail)))));
    if (before.length === 0) past.append(h("li", { class: "counts" }, "Nothing yet."));
  }

  return { ready: load(), refresh: load, leave: () => leave.abort() };
}
