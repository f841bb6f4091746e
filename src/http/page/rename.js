// A name, edited where it stands.
import { patch } from "./api.js";
import { change } from "./change.js";
import { h } from "./element.js";

/** Enter saves, Escape leaves; `done(name)` says what came of it, undefined where nothing did. */
export function renameForm(person, done, { save = (name) => change(patch(`/v1/people/${encodeURIComponent(person.id)}`, { name })) } = {}) {
  const input = h("input", {
    value: person.name ?? "", "aria-label": "Name", maxlength: "200", autocomplete: "off", spellcheck: "false", dir: "auto",
    placeholder: "Name", "data-testid": "rename-input",
  });
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
  }, input, h("button", { type: "submit", class: "primary", "data-testid": "rename-save" }, "Save"),
  h("button", { type: "button", onclick: () => done(undefined), "data-testid": "rename-cancel" }, "Cancel"));
}
