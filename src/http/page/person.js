// One person: their faces, and what can be said about them.
import { get, post, query } from "./api.js";
import { busy, change } from "./change.js";
import { choosePerson } from "./chooser.js";
import { crop } from "./crop.js";
import { button, h, icon, nameOf } from "./element.js";
import { weigh } from "./evidence.js";
import { showFace } from "./face.js";
import { FaceList } from "./faces.js";
import { forget } from "./receipt.js";
import { renameForm } from "./rename.js";
import { count } from "./words.js";

const PAGE = 100;

export function personView(main, route) {
  const path = (id) => `/v1/people/${encodeURIComponent(id)}`;
  let person = null;
  const heading = h("h1", { tabindex: "-1", "data-testid": "person-name" }, "Person");
  const counts = h("p", { class: "counts" });
  const title = h("div", { class: "person-title" }, heading, counts);
  const renameButton = button("Rename", rename, { picture: "pencil", "data-testid": "person-rename" });
  const actions = h("div", { class: "actions", hidden: true }, renameButton,
    button("Merge with …", merge, { "data-testid": "person-merge" }),
    button("Forget …", drop, { class: "danger", "data-testid": "person-forget" }));
  let shown = null;
  let picture = h("span", { class: "crop" });
  const head = h("div", { class: "person-head" }, picture, title, actions);
  const root = h("section", { "aria-label": "Faces", hidden: true });
  main.append(h("p", { class: "back" }, h("a", { href: "#/people" }, icon("back"), "All people")), head, root);

  const faces = new FaceList(root, {
    label: "Faces of this person",
    page: (cursor) => get(query(`${path(person.id)}/faces`, { limit: PAGE, cursor })),
    cover: () => person?.cover,
    actions: [
      { label: "Move to …", testid: "move", run: move },
      { label: "Not this person", testid: "split", run: split },
      { label: "Details", testid: "details", most: 1, run: ([face]) => showFace(face, person.cover) },
    ],
  });

  /** What is there stays the same elements, so that none loses the focus, or what is being typed. */
  function drawHead() {
    heading.replaceChildren(nameOf(person));
    counts.replaceChildren(`${count(person.faces, "face")} in ${count(person.photos, "photo")}`);
    actions.hidden = false;
    if (shown === person.cover) return;
    shown = person.cover;
    const fresh = crop(shown, "", 128);
    picture.replaceWith(fresh);
    picture = fresh;
  }

  function rename() {
    title.querySelector("form")?.remove();
    const form = renameForm(person, (name) => {
      if (name !== undefined) person.name = name;
      form.remove();
      heading.classList.remove("unseen");
      drawHead();
      renameButton.focus();
    });
    heading.classList.add("unseen");
    heading.after(form);
    form.querySelector("input").select();
  }

  async function load() {
    person = await get(path(route.id));
    // It went into another by a merge: that one's address from now on.
    if (person.id !== route.id) {
      route.id = person.id;
      history.replaceState(null, "", `#/people/${encodeURIComponent(person.id)}`);
      dispatchEvent(new HashChangeEvent("hashchange"));
      return;
    }
    drawHead();
    root.hidden = false;
    await faces.load();
  }

  async function move(chosen) {
    const other = await choosePerson({ title: `Move ${count(chosen.length, "face")} to`, except: person.id });
    if (other && await change(post(`${path(other.id)}/move`, { faces: chosen.map((face) => face.id) }), () => to(other.id))) faces.finish();
  }

  async function split(chosen) {
    const done = await change(post(`${path(person.id)}/split`, { faces: chosen.map((face) => face.id) }), (told) => {
      const part = told.moved.find((face) => face.to && face.to !== person.id)?.to;
      return part ? to(part) : null;
    });
    if (done) faces.finish();
  }

  const to = (id) => ({ label: "Open", run: () => { location.hash = `#/people/${encodeURIComponent(id)}`; } });

  async function merge() {
    const other = await choosePerson({ title: "Merge with", except: person.id });
    if (!other) return;
    const verdict = await weigh(person, other);
    if (verdict === "merge") await change(post("/v1/people/merge", { ids: [person.id, other.id] }));
    if (verdict === "not-same") await change(post("/v1/faces/not-same", { a: person.cover, b: other.cover }));
  }

  async function drop() {
    await forget(path(person.id), {
      title: "Forget this person?",
      accept: "Forget for good",
      text: [
        h("span", null, nameOf(person), `: ${count(person.faces, "face")} from ${count(person.photos, "photo")}.`),
        "Their faces, crops and vectors are deleted from the library, and what was said of them. The photos themselves stay where they are. This cannot be undone.",
      ],
      leave: () => { location.hash = "#/people"; },
    });
  }

  return { ready: load(), refresh: load, leave: () => faces.close() };
}
