// Edits the birth date and the notes of a person, in a dialog.
import { patch, Problem } from "./api.js";
import { tellChange } from "./change.js";
import { openDialog } from "./dialog.js";
import { h } from "./element.js";
import { isDate } from "./words.js";

const LONGEST_NOTE = 10000;

/** Asks for birth date and notes; a refusal is told in the dialog, so that nothing typed is lost. */
export async function editAbout(person, path) {
  const fault = h("p", { class: "warning", role: "alert", hidden: true, "data-testid": "about-error" });
  const born = h("input", {
    value: person.born ?? "", autocomplete: "off", spellcheck: "false", "aria-describedby": "born-hint", maxlength: "10", "data-testid": "about-born",
  });
  const notes = h("textarea", { rows: "6", dir: "auto", maxlength: LONGEST_NOTE, "data-testid": "about-notes" });
  notes.value = person.notes ?? "";
  const refuse = (text, field) => {
    fault.textContent = text;
    fault.hidden = false;
    field.focus();
  };
  const save = async () => {
    const about = {};
    if (born.value.trim() !== (person.born ?? "")) about.born = born.value.trim();
    if (notes.value !== (person.notes ?? "")) about.notes = notes.value;
    if (Object.keys(about).length === 0) return null;
    if (about.born && !isDate(about.born)) return refuse("Write the birth date as 1984, 1984-05 or 1984-05-17.", born);
    try {
      return await patch(path, about);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      return refuse(error.message, about.born ? born : notes);
    }
  };
  const done = await openDialog({
    title: "Birth date and notes", testid: "about-dialog",
    body: h("div", { class: "stack" }, fault,
      h("label", { class: "field" }, "Birth date", born),
      h("p", { class: "hint", id: "born-hint" }, "As far as you know it: 1984, 1984-05 or 1984-05-17."),
      h("label", { class: "field" }, "Notes", notes)),
    actions: [{ label: "Save", kind: "primary", value: save, testid: "save" }],
  });
  if (done) await tellChange(done);
}
