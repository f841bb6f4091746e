// One photo of the library: what was found in it, and forgetting it.
import { get } from "./api.js";
import { crop } from "./crop.js";
import { button, h, icon, nameOf, outside } from "./element.js";
import { qualityOf } from "./faces.js";
import { framed, placeholder } from "./frame.js";
import { forget } from "./receipt.js";
import { bytes, count, fileName, percent, rejectedReason, stateOf } from "./words.js";

function faceRow(face, at) {
  return h("li", { class: "photo-face" },
    crop(face.id, "", 96),
    h("div", { class: "who" },
      h("p", null, h("span", { class: "number" }, at + 1), " ", face.person
        ? h("a", { href: `#/people/${encodeURIComponent(face.person.id)}` }, nameOf(face.person))
        : h("span", { class: "name nameless" }, "In no group")),
      qualityOf(face.quality)));
}

export function photoView(main, route) {
  const path = `/v1/photos/${encodeURIComponent(route.id)}`;
  const heading = h("h1", { tabindex: "-1" }, "Photo");
  const body = h("div", { class: "stack" });
  main.append(h("p", { class: "back" }, h("a", { href: "#/photos" }, icon("back"), "All photos")), h("div", { class: "bar" }, heading), body);

  async function load() {
    const photo = await get(path);
    const faces = photo.faces ?? [];
    heading.replaceChildren(outside(fileName(photo.path)));
    const fact = (what, value) => value && [h("dt", null, what), h("dd", null, value)];
    body.replaceChildren(
      h("dl", { class: "receipt" },
        fact("Path", outside(photo.path)),
        fact("State", stateOf(photo.state)),
        fact("Reason", photo.reason && rejectedReason(photo.reason)),
        fact("What happened", photo.detail && outside(photo.detail)),
        fact("Quality", typeof photo.quality === "number" ? percent(photo.quality) : null),
        fact("Taken", photo.taken && photo.taken.replace("T", " ")),
        fact("Copy of", photo.copy_of && h("a", { href: `#/photos/${encodeURIComponent(photo.copy_of.id)}` }, outside(photo.copy_of.path))),
        fact("Size", [photo.width && photo.height ? `${photo.width} × ${photo.height}` : null, photo.bytes ? bytes(photo.bytes) : null].filter(Boolean).join(", "))),
      faces.length > 0 ? h("div", { class: "photo-faces" },
        framed(placeholder(photo.width, photo.height), photo.width, photo.height,
          faces.map((face, at) => ({ box: face.box, label: at + 1, kind: face.person ? "known" : "unknown" })), "Where the faces are."),
        h("ul", { "aria-label": "Faces in this photo" }, faces.map(faceRow))) : "",
      h("div", { class: "actions" }, button("Forget this photo …", () => drop(photo), { class: "danger", "data-testid": "photo-forget" })));
  }

  async function drop(photo) {
    await forget(path, {
      title: "Forget this photo?",
      accept: "Forget for good",
      text: [
        h("span", null, outside(photo.path), `: ${count(photo.face_count, "face")}.`),
        "What was found in it is deleted from the library: faces, crops and vectors. The file itself stays where it is, and is not indexed again. This cannot be undone.",
      ],
      leave: () => { location.hash = "#/photos"; },
    });
  }

  return { ready: load(), refresh: load };
}
