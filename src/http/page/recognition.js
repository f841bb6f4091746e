// One photo and who is in it.
import { crop } from "./crop.js";
import { button, h, nameOf, outside } from "./element.js";
import { qualityOf } from "./faces.js";
import { framed, placeholder } from "./frame.js";
import { sendPerson } from "./newcomer.js";
import { renameForm } from "./rename.js";
import { figuresOf, likenessOf } from "./verdict.js";
import { count, remedy } from "./words.js";

const VERDICTS = { known: "known", unnamed: "no name yet", unknown: "unknown" };
const FACE = 96;

export class Recognition {
  constructor(file) {
    this.file = file;
    this.over = false;
    this.answer = null;
    this.url = URL.createObjectURL(file);
    this.stop = new AbortController();
    this.image = h("img", { alt: `The photo ${file.name}`, class: "picture", "data-testid": "picture", src: this.url });
    this.shown = this.image.decode().then(() => true, () => false);
    this.body = h("div", { class: "recognition-body" }, h("p", { class: "counts" }, "Waiting"));
    this.status = h("span", { class: "counts" });
    this.element = h("article", { class: "recognition", "aria-label": file.name, "data-testid": "recognition", "data-state": "waiting" },
      h("h2", null, outside(file.name), " ", this.status), this.body);
  }

  async start(recognize) {
    this.body.replaceChildren(h("p", { class: "counts" }, "Looking …"));
    try {
      this.answer = await recognize(this.file, this.stop.signal);
      this.readable = await this.shown;
      this.draw();
    } catch (error) {
      if (this.stop.signal.aborted) return;
      this.element.dataset.state = "failed";
      this.body.replaceChildren(h("p", { class: "warning", "data-testid": "recognition-error" }, error.message, " ", remedy(error.code)));
    }
    this.over = true;
  }

  /** Names change, and people go: what is shown goes along. */
  changed(detail) {
    if (!this.answer) return;
    const before = JSON.stringify(this.answer);
    const names = new Map((detail.renamed ?? []).map(({ group, name }) => [group, name]));
    for (const { from, into } of (detail.events ?? []).filter((event) => event.event === "merged")) this.eachPerson((person) => { if (person.id === from) person.id = into; });
    const gone = new Set(detail.groups ?? []);
    this.eachPerson((person) => { if (names.has(person.id)) person.name = names.get(person.id); });
    for (const face of this.answer.faces) {
      face.candidates = face.candidates.filter(({ person }) => !gone.has(person.id));
      if (face.person && gone.has(face.person.id)) Object.assign(face, { person: null, verdict: "unknown", similarity: null, margin: null });
      if (face.person) face.verdict = face.person.name ? "known" : "unnamed";
    }
    // Drawn anew, a form would lose what was typed.
    if (JSON.stringify(this.answer) !== before) this.draw();
  }

  eachPerson(change) {
    for (const face of this.answer.faces) for (const person of [face.person, ...face.candidates.map((one) => one.person)]) if (person) change(person);
  }

  draw() {
    const { width, height, faces, milliseconds } = this.answer;
    this.element.dataset.state = "done";
    this.status.textContent = `${count(faces.length, "face")} · ${milliseconds} ms`;
    const picture = this.readable ? this.image : placeholder(width, height);
    const frame = framed(picture, width, height, faces.map((face, at) => ({ box: face.box, label: at + 1, kind: face.verdict })),
      this.readable ? null : "This browser cannot show the photo. The boxes are where the faces are.");
    const light = (event) => {
      const at = event.target.closest?.("[data-at]")?.dataset.at;
      for (const box of frame.querySelectorAll(".box")) box.classList.toggle("lit", box.dataset.box === at);
    };
    this.body.replaceChildren(frame, faces.length === 0
      ? h("p", { "data-testid": "no-faces" }, "No face found in this photo.")
      : h("ol", { class: "found", onpointerover: light, onfocusin: light }, faces.map((face, at) => this.found(face, at))));
  }

  found(face, at) {
    const person = face.person;
    const title = person
      ? h("a", { href: `#/people/${encodeURIComponent(person.id)}`, "data-testid": "found-person" }, nameOf(person))
      : h("span", { class: "name nameless" }, "Unknown");
    const nearest = face.candidates[0];
    const slot = h("div", { class: "found-action" });
    this.offer(slot, face);
    return h("li", { "data-testid": "found", "data-verdict": face.verdict, "data-at": at + 1 },
      h("div", { class: "pair" }, this.thumbnail(face.box), person && nearest?.face && crop(nearest.face, "The nearest face of the library", FACE)),
      h("div", { class: "who" },
        h("p", null, h("span", { class: "number" }, at + 1), " ", title, " ", h("span", { class: person?.name ? "chip best" : "chip" }, VERDICTS[face.verdict] ?? face.verdict)),
        face.similarity !== null && h("p", { class: "counts", "data-testid": "found-likeness" }, likenessOf(face)),
        qualityOf(face.quality),
        slot, figuresOf(face)));
  }

  /** Naming the unnamed; adding somebody who is alone in the photo. */
  offer(slot, face) {
    const open = (form) => {
      slot.replaceChildren(form);
      form.querySelector("input").focus();
    };
    const back = () => { this.offer(slot, face); slot.querySelector("button")?.focus(); };
    if (face.verdict === "unnamed") {
      slot.replaceChildren(button("This is …", () => open(renameForm(face.person, (name) => {
        if (name === undefined) return back();
        this.changed({ renamed: [{ group: face.person.id, name }] });
        this.enter(face);
      })), { "data-testid": "this-is" }));
    } else if (face.verdict === "unknown" && this.answer.faces.length === 1) {
      const save = async (name) => {
        const person = await sendPerson(name, [this.file]);
        if (person) Object.assign(face, { person: { id: person.id, name: person.name }, verdict: "known" });
        return person;
      };
      slot.replaceChildren(button("Add as a new person …", () => open(renameForm({ name: null }, (name) => {
        if (name === undefined) return back();
        this.draw();
        this.enter(face);
      }, { save })), { "data-testid": "add-unknown" }));
    } else {
      slot.replaceChildren();
    }
  }

  /** To the link of a face that was just named. */
  enter(face) {
    this.element.querySelector(`[data-at="${this.answer.faces.indexOf(face) + 1}"] a`)?.focus();
  }

  /** The face cut out of the photo, as the library would. */
  thumbnail(box) {
    if (!this.readable) return null;
    const canvas = h("canvas", { width: FACE, height: FACE, class: "crop", role: "img", "aria-label": "The face in this photo" });
    const side = Math.max(box.width, box.height) * 1.3;
    const [x, y] = [box.x + box.width / 2 - side / 2, box.y + box.height / 2 - side / 2];
    const scale = this.image.naturalWidth / this.answer.width;
    canvas.getContext("2d").drawImage(this.image, x * scale, y * scale, side * scale, side * scale, 0, 0, FACE, FACE);
    return canvas;
  }

  close() {
    this.stop.abort();
    URL.revokeObjectURL(this.url);
  }
}
