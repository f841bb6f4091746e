// A person added by hand, from photos that show nobody else.
import { postForm } from "./api.js";
import { busy } from "./change.js";
import { openDialog } from "./dialog.js";
import { h } from "./element.js";
import { toast } from "./toast.js";
import { count } from "./words.js";

/** Sends name and photos; the Person, or null where it was refused. */
export async function sendPerson(name, photos) {
  const form = new FormData();
  form.append("name", name);
  for (const photo of photos) form.append("photo", photo);
  const person = await busy(postForm("/v1/people", form));
  if (person) toast(`${person.name ?? name} was added, with ${count(person.faces, "face")}.`);
  return person;
}

export async function addPerson() {
  const given = await openDialog({
    title: "Add a person", testid: "add-dialog",
    body: h("div", { class: "stack" },
      h("label", { class: "field" }, "Name", h("input", { name: "name", required: true, maxlength: "200", dir: "auto", autocomplete: "off", "data-testid": "add-name" })),
      h("label", { class: "field" }, "Photos of this person alone",
        h("input", { type: "file", name: "photos", accept: "image/*,.heic,.heif", multiple: true, required: true, "data-testid": "add-photos" }))),
    actions: [{
      label: "Add", kind: "primary",
      value: (dialog) => {
        const name = dialog.querySelector("[name=name]").value.trim();
        const photos = [...dialog.querySelector("[name=photos]").files];
        return name && photos.length > 0 ? { name, photos } : undefined;
      },
    }],
  });
  return given ? sendPerson(given.name, given.photos) : null;
}
