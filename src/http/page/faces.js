// Faces that can be selected: by click, with space, in ranges, all at once.
import { busy } from "./change.js";
import { crop } from "./crop.js";
import { button, h, icon, outside, say } from "./element.js";
import { Windowed } from "./windowed.js";
import { count, digits, fileName, percent, qualityReason } from "./words.js";

/** How good a face is, and what is wrong with it. */
export function qualityOf(quality) {
  return [
    h("span", { class: "quality" },
      h("meter", { min: 0, max: 1, low: 0.35, high: 0.65, optimum: 1, value: quality.overall, "aria-label": "Quality" }), percent(quality.overall)),
    quality.reasons.length > 0 && h("ul", { class: "reasons" }, quality.reasons.map((code) => h("li", { class: "chip" }, qualityReason(code)))),
  ];
}

export class FaceList {
  /** `actions`: `{label, testid, kind, least, most, run(faces)}`; each is enabled for that many selected faces. */
  constructor(root, { label, page, actions, cover = () => null }) {
    this.actions = actions;
    this.cover = cover;
    this.selected = new Map();
    this.anchor = 0;
    this.tally = h("p", { class: "selection-count", role: "status", "data-testid": "selection-count" });
    this.buttons = actions.map((action) => button(action.label, () => action.run([...this.selected.values()]),
      { class: action.kind, "data-testid": `faces-${action.testid}`, disabled: true }));
    this.allButton = button("Select all", () => this.selectAll(), { "data-testid": "faces-all" });
    const tools = h("div", { class: "selection", role: "toolbar", "aria-label": "Selected faces" },
      h("div", { class: "selection-state" }, this.tally, this.allButton),
      h("div", { class: "selection-actions" }, this.buttons));
    const box = h("div", { role: "listbox", "aria-multiselectable": "true", "aria-label": label, class: "faces", "data-testid": "faces" });
    root.append(tools, box);
    this.list = new Windowed(box, {
      page, draw: (face, index) => this.option(face, index), minWidth: 7.2,
      height: (width, rem) => width + 4.6 * rem,
      onTotal: (total) => { this.total = total; this.tell(); },
    });
    box.addEventListener("click", (event) => this.click(event));
    box.addEventListener("mousedown", (event) => { if (event.shiftKey) event.preventDefault(); });
    // Before the list's own arrows: shift and they together select.
    box.addEventListener("keydown", (event) => this.key(event), { capture: true });
    this.tell();
  }

  close() { this.list.close(); }

  async load() {
    await this.list.load();
    // Faces may have gone elsewhere; what is not loaded is taken to be there still.
    if (this.list.next === null) {
      const there = new Set(this.list.items.map((face) => face.id));
      for (const id of this.selected.keys()) if (!there.has(id)) this.selected.delete(id);
    }
    this.tell();
  }

  option(face, index) {
    const selected = this.selected.has(face.id);
    const words = face.quality.reasons.map(qualityReason).join(", ");
    const isCover = face.id === this.cover();
    const name = [`Face in ${face.path}`, `quality ${percent(face.quality.overall)}`, words, isCover && "cover"].filter(Boolean).join(", ");
    return h("div", { role: "option", tabindex: "-1", class: "face", "aria-selected": String(selected), "aria-label": name, "data-face": face.id, "data-testid": "face", title: face.path },
      h("div", { class: "face-picture" }, crop(face.id, "", 160), h("span", { class: "tick" }, icon("check")), isCover && h("span", { class: "chip best" }, "cover")),
      outside(fileName(face.path), { class: "photo" }),
      h("span", { class: "quality" }, h("meter", { min: 0, max: 1, low: 0.35, high: 0.65, optimum: 1, value: face.quality.overall }), percent(face.quality.overall)),
      words && h("span", { class: "wrong" }, words));
  }

  mark() {
    for (const [index, node] of this.list.nodes) {
      const face = this.list.items[index];
      if (face) node.setAttribute("aria-selected", String(this.selected.has(face.id)));
    }
    this.tell();
  }

  tell() {
    const n = this.selected.size;
    this.tally.textContent = n > 0 ? `${digits(n)} of ${count(this.total ?? 0, "face")} selected` : `${count(this.total ?? 0, "face")}. Select some to change them.`;
    this.allButton.textContent = n > 0 ? "Select none" : "Select all";
    this.buttons.forEach((el, at) => {
      const { least = 1, most = Infinity } = this.actions[at];
      el.disabled = n < least || n > most;
    });
  }

  set(index, on) {
    const face = this.list.items[index];
    if (!face) return;
    if (on) this.selected.set(face.id, face);
    else this.selected.delete(face.id);
  }

  toggle(index) {
    this.set(index, !this.selected.has(this.list.items[index]?.id));
    this.anchor = index;
    this.mark();
  }

  range(to) {
    for (let index = Math.min(this.anchor, to); index <= Math.max(this.anchor, to); index += 1) this.set(index, true);
    this.mark();
  }

  clear() {
    this.selected.clear();
    this.mark();
  }

  /** After a change: nothing is selected, and the focus, whose button is disabled now, is among the faces. */
  finish() {
    this.clear();
    this.list.enter(this.list.active);
  }

  async selectAll() {
    if (this.selected.size > 0) {
      this.clear();
      return;
    }
    const items = await busy(this.list.all());
    for (const face of items ?? []) this.selected.set(face.id, face);
    this.mark();
    say(`${count(this.selected.size, "face")} selected`);
  }

  click(event) {
    const index = this.list.indexOf(event.target);
    if (index === null) return;
    this.list.enter(index);
    if (event.shiftKey) this.range(index);
    else this.toggle(index);
  }

  key(event) {
    const index = this.list.indexOf(event.target);
    if (index === null) return;
    const stop = () => { event.preventDefault(); event.stopPropagation(); };
    if (event.key === " ") {
      stop();
      if (event.shiftKey) this.range(index);
      else this.toggle(index);
    } else if (event.key.toLowerCase() === "a" && (event.ctrlKey || event.metaKey)) {
      stop();
      this.selected.clear();
      this.selectAll();
    } else if (event.key === "Escape" && this.selected.size > 0) {
      stop();
      this.clear();
    } else if (event.key === "Enter") {
      stop();
      this.actions.find((action) => action.testid === "details")?.run([this.list.items[index]]);
    } else if (event.shiftKey) {
      const to = this.list.target(event.key);
      if (to === null) return;
      stop();
      if (!this.selected.has(this.list.items[index]?.id)) this.anchor = index;
      this.list.focus(to).then(() => this.range(to));
    }
  }
}
