// One face: where it is from, how good it is, why it is where it is.
import { get } from "./api.js";
import { busy } from "./change.js";
import { crop } from "./crop.js";
import { openDialog } from "./dialog.js";
import { h, nameOf, outside } from "./element.js";
import { qualityOf } from "./faces.js";
import { explained } from "./why.js";

/** `cover` is the face to explain it against, where there is another. */
export async function showFace(face, cover = null) {
  const id = encodeURIComponent;
  const why = cover && cover !== face.id ? await busy(get(`/v1/faces/${id(face.id)}/why/${id(cover)}`)) : null;
  await openDialog({
    title: "Face", cancel: "Close", testid: "face-dialog",
    body: (close) => h("div", { class: "stack" },
      h("div", { class: "face-detail" }, crop(face.id, "The face", 192),
        h("dl", null,
          h("dt", null, "Photo"), h("dd", null, h("a", { href: `#/photos/${id(face.photo)}`, onclick: () => close(null) }, outside(face.path))),
          h("dt", null, "Person"), h("dd", null, face.person ? h("a", { href: `#/people/${id(face.person.id)}`, onclick: () => close(null) }, nameOf(face.person)) : "In no group"),
          h("dt", null, "Quality"), h("dd", null, qualityOf(face.quality)))),
      why && [h("h3", null, "Beside the cover"), explained(why)],
      h("details", { class: "details" }, h("summary", null, "Id"), h("code", null, face.id))),
  });
}
