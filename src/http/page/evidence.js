// Two people side by side: what speaks for their being one.
import { get } from "./api.js";
import { busy } from "./change.js";
import { crop } from "./crop.js";
import { openDialog } from "./dialog.js";
import { h, nameOf, plainText } from "./element.js";
import { explained } from "./why.js";
import { count, percent, qualityReason } from "./words.js";

const BEST = 6;

function side(person) {
  return h("div", { class: "evidence-side" }, crop(person.cover, "Cover", 160), h("p", null, nameOf(person)),
    h("p", { class: "counts" }, `${count(person.faces, "face")} · ${count(person.photos, "photo")}`));
}

function best(person, faces) {
  const words = (face) => [`Face in ${face.path}`, `quality ${percent(face.quality.overall)}`, ...face.quality.reasons.map(qualityReason)].join(", ");
  return h("ul", { class: "best-faces", "aria-label": `Best faces of ${person.name ? plainText(person.name) : "the person without a name"}` },
    faces.filter((face) => face.id !== person.cover).slice(0, BEST).map((face) => h("li", null, crop(face.id, words(face), 72))));
}

/** `merge`, `not-same`, or null. `note` says why it is asked; `apart` is the label of not merging. */
export async function weigh(a, b, { note = null, apart = "Two different people" } = {}) {
  const id = encodeURIComponent;
  const found = await busy(Promise.all([
    get(`/v1/people/${id(a.id)}/faces?limit=${BEST + 1}`), get(`/v1/people/${id(b.id)}/faces?limit=${BEST + 1}`),
    get(`/v1/faces/${id(a.cover)}/why/${id(b.cover)}`),
  ]));
  if (!found) return null;
  const [mine, theirs, why] = found;
  return openDialog({
    title: "One person?",
    wide: true,
    testid: "evidence-dialog",
    body: h("div", { class: "stack" },
      note && h("p", { class: "warning", "data-testid": "evidence-note" }, note),
      h("div", { class: "evidence" }, side(a), side(b)),
      h("h3", null, "What the two covers say"), explained(why),
      h("h3", null, "Other faces of each"),
      h("div", { class: "evidence" }, best(a, mine.items), best(b, theirs.items))),
    actions: [
      { label: apart, value: "not-same", testid: "not-same" },
      { label: "Merge into one person", value: "merge", kind: "primary", testid: "merge" },
    ],
  });
}
