// A name, edited where it stands. A name that another person has may mean that the two are one.
import { get, patch, post } from "./api.js";
import { busy, change } from "./change.js";
import { h, outside } from "./element.js";
import { weigh } from "./evidence.js";
import { nameField, personCalled } from "./names.js";

const path = (id) => `/v1/people/${encodeURIComponent(id)}`;

/** Gives a person a name, or merges them with the one who has it; null where nothing was done. */
async function giveName(id, name) {
  const other = name && await busy(personCalled(name, id));
  if (!other) return change(patch(path(id), { name }));
  const person = await busy(get(path(id)));
  if (!person) return null;
  const verdict = await weigh(person, other, {
    note: ["There is a person called ", outside(other.name), " already. If the two are one person, merge them."],
    apart: "Two people with this name",
  });
  if (verdict === "merge") return change(post("/v1/people/merge", { ids: [other.id, id] }));
  if (verdict === "not-same") return change(patch(path(id), { name }));
  return null;
}

/** Enter saves, Escape leaves; `done(name)` says what came of it, undefined where nothing did. */
export function renameForm(person, done, { save = (name) => giveName(person.id, name) } = {}) {
  const { input, element } = nameField(person.name ?? "", person.id ?? null);
  let sent = false;
  return h("form", {
    class: "rename",
    onsubmit: async (event) => {
      event.preventDefault();
      if (sent) return;
      const name = input.value.trim();
      if (name === (person.name ?? "")) return done(undefined);
      sent = true;
      const saved = await save(name);
      sent = false;
      if (saved) done(name || null);
      else input.focus();
    },
    onkeydown: (event) => {
      if (event.key === "Escape") {
        event.preventDefault();
        done(undefined);
      }
    },
  }, element, h("button", { type: "submit", class: "primary", "data-testid": "rename-save" }, "Save"),
  h("button", { type: "button", onclick: () => done(undefined), "data-testid": "rename-cancel" }, "Cancel"));
}
