// One person in the grid: face, name, counts, and the name's field.
import { crop } from "./crop.js";
import { button, h, nameOf, plainText } from "./element.js";
import { renameForm } from "./rename.js";
import { count } from "./words.js";

/** A card with the field where `form` is set, which calls `done(name)`; else with what calls `edit()`. */
export function personCard(person, { form, edit, done }) {
  const props = { role: "listitem", class: person.name ? "person" : "person unnamed", "data-person": person.id, "data-testid": "person" };
  if (form) return h("div", props, crop(person.cover, "", 96), renameForm(person, done));
  const who = h("span", { class: "who" }, nameOf(person),
    h("span", { class: "counts" }, `${count(person.faces, "face")} · ${count(person.photos, "photo")}`), person.hidden && h("span", null, h("span", { class: "chip warm" }, "hidden")));
  const link = h("a", {
    class: "card", href: `#/people/${encodeURIComponent(person.id)}`, "data-testid": "person-link",
    onkeydown: (event) => { if (event.key === "F2") edit(); },
  }, crop(person.cover, "", 96), who);
  // Somebody without a name needs one next.
  const next = person.name
    ? button("", edit, { class: "plain edit", "aria-label": `Rename ${plainText(person.name)}`, title: "Rename (F2)", picture: "pencil", "data-testid": "rename" })
    : button("Name …", edit, { class: "name-it", title: "Name this person (F2)", "data-testid": "rename" });
  return h("div", props, link, next);
}
