// The head of a person's page: the face, the name, and what is known beside it.
import { crop } from "./crop.js";
import { h, nameOf, outside } from "./element.js";
import { renameForm } from "./rename.js";
import { birthDate, count } from "./words.js";

export class PersonHead {
  /** `actions` are buttons, shown once the person is known. */
  constructor(actions) {
    this.shown = null;
    this.heading = h("h1", { tabindex: "-1", "data-testid": "person-name" }, "Person");
    this.hidden = h("p", { class: "counts", hidden: true, "data-testid": "person-hidden" }, h("span", { class: "chip warm" }, "hidden"), " Lists leave this person out.");
    this.counts = h("p", { class: "counts" });
    this.born = h("p", { class: "counts", hidden: true, "data-testid": "person-born" });
    this.notes = h("p", { class: "notes", dir: "auto", hidden: true, "data-testid": "person-notes" });
    this.title = h("div", { class: "person-title" }, this.heading, this.hidden, this.counts, this.born, this.notes);
    this.actions = h("div", { class: "actions", hidden: true }, actions);
    this.picture = h("span", { class: "crop" });
    this.element = h("div", { class: "person-head" }, this.picture, this.title, this.actions);
    this.id = h("code", { "data-testid": "person-id" });
    this.details = h("details", { class: "details", hidden: true, "data-testid": "person-details" },
      h("summary", null, "Details"), h("dl", { class: "receipt" }, h("dt", null, "Id"), h("dd", null, this.id)));
  }

  /** Draws a person into the same elements, so that none loses the focus, or what is being typed. */
  draw(person) {
    this.heading.replaceChildren(nameOf(person));
    this.hidden.hidden = !person.hidden;
    this.counts.textContent = `${count(person.faces, "face")} in ${count(person.photos, "photo")}`;
    this.born.textContent = person.born ? `Born ${birthDate(person.born)}` : "";
    this.born.hidden = !person.born;
    this.notes.replaceChildren(person.notes ? outside(person.notes) : "");
    this.notes.hidden = !person.notes;
    this.id.textContent = person.id;
    this.details.hidden = false;
    this.actions.hidden = false;
    if (this.shown === person.cover) return;
    this.shown = person.cover;
    const fresh = crop(person.cover, "", 128);
    fresh.dataset.testid = "person-cover";
    fresh.dataset.cover = person.cover;
    this.picture.replaceWith(fresh);
    this.picture = fresh;
  }

  /** The name's field in place of the heading; `done(name)` as of the form. */
  rename(person, done) {
    this.title.querySelector("form")?.remove();
    const form = renameForm(person, (name) => {
      form.remove();
      this.heading.classList.remove("unseen");
      done(name);
    });
    this.heading.classList.add("unseen");
    this.heading.after(form);
    form.querySelector("input").select();
  }
}
