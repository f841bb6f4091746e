// Photos by what became of them.
import { get, query } from "./api.js";
import { h, outside, say } from "./element.js";
import { tell } from "./toast.js";
import { Windowed } from "./windowed.js";
import { bytes, count, digits, percent, rejectedReason, stateOf } from "./words.js";

const PAGE = 100;
const TABS = [["", "All", "images"], ["indexed", "With faces", "indexed"], ["no_faces", "No face", "no_faces"], ["low_quality", "Too poor", "low_quality"], ["rejected", "Not usable", "rejected"]];

function row(photo) {
  const reasons = photo.reason ? [rejectedReason(photo.reason)] : [];
  const facts = [
    photo.width && photo.height ? `${photo.width} × ${photo.height}` : null,
    photo.bytes ? bytes(photo.bytes) : null,
    photo.face_count > 0 ? count(photo.face_count, "face") : null,
    typeof photo.quality === "number" ? `quality ${percent(photo.quality)}` : null,
  ].filter(Boolean);
  return h("div", { role: "listitem", class: "row", "data-testid": "photo", "data-photo": photo.id },
    h("a", { href: `#/photos/${encodeURIComponent(photo.id)}` },
      outside(photo.path, { class: "path" }),
      h("span", { class: "facts" },
        h("span", { class: photo.state === "indexed" ? "chip" : "chip warm" }, stateOf(photo.state)),
        [...new Set(reasons)].map((reason) => h("span", { class: "chip warm" }, reason)),
        h("span", { class: "counts" }, facts.join(" · "))),
      photo.detail && outside(photo.detail, { class: "detail" })));
}

export function photosView(main, route) {
  const state = TABS.some(([value]) => value === route.params.get("state")) ? route.params.get("state") : "";
  const box = h("div", { role: "list", "aria-label": "Photos", class: "rows", "data-testid": "photos" });
  const empty = h("p", { class: "empty", hidden: true }, "No photos here.");
  const tabs = TABS.map(([value, label, total]) => {
    const tally = h("span", { class: "tally", "data-total": total });
    return h("li", null, h("a", { href: value ? `#/photos?state=${value}` : "#/photos", "aria-current": value === state ? "true" : null, "data-testid": `photos-${value || "all"}` }, label, " ", tally));
  });
  main.append(
    h("div", { class: "bar" }, h("h1", { tabindex: "-1" }, "Photos")),
    h("nav", { "aria-label": "Which photos", class: "tabs" }, h("ul", null, tabs)), box, empty);
  const list = new Windowed(box, {
    page: (cursor) => get(query("/v1/photos", { state, limit: PAGE, cursor })),
    draw: row, minWidth: 22, height: (width, rem) => 6.4 * rem,
    onTotal: (total) => { empty.hidden = total > 0; },
  });
  async function totals() {
    const all = await get("/v1/totals");
    for (const tally of main.querySelectorAll("[data-total]")) tally.textContent = digits(all[tally.dataset.total] ?? 0);
  }
  const load = async () => {
    await list.load();
    say(count(list.total, "photo"));
    await totals().catch(tell);
  };
  return { ready: load(), refresh: load, leave: () => list.close() };
}
