// One person: their faces, and what can be said about them.
import { get, patch, post, query } from "./api.js";
import { editAbout } from "./about.js";
import { change } from "./change.js";
import { choosePerson } from "./chooser.js";
import { button, h, icon, nameOf } from "./element.js";
import { weigh } from "./evidence.js";
import { showFace } from "./face.js";
import { FaceList } from "./faces.js";
import { PersonHead } from "./head.js";
import { forget } from "./receipt.js";
import { count } from "./words.js";

const PAGE = 100;
const path = (id) => `/v1/people/${encodeURIComponent(id)}`;

export function personView(main, route) {
  let person = null;
  const renameButton = button("Rename", rename, { picture: "pencil", "data-testid": "person-rename" });
  const hideButton = button("Hide", hide, { "data-testid": "person-hide" });
  const head = new PersonHead([renameButton,
    button("Birth date, notes …", () => editAbout(person, path(person.id)), { "data-testid": "person-about" }),
    button("Merge with …", merge, { "data-testid": "person-merge" }), hideButton,
    button("Forget …", drop, { class: "danger", "data-testid": "person-forget" })]);
  const root = h("section", { "aria-label": "Faces", hidden: true });
  main.append(h("p", { class: "back" }, h("a", { href: "#/people" }, icon("back"), "All people")), head.element, root, head.details);

  const faces = new FaceList(root, {
    label: "Faces of this person",
    page: (cursor) => get(query(`${path(person.id)}/faces`, { limit: PAGE, cursor })),
    cover: () => person?.cover,
    actions: [
      { label: "Move to …", testid: "move", run: move },
      { label: "Not this person", testid: "not-person", run: notPerson },
      { label: "New person", testid: "split", run: split },
      { label: "Use as cover", testid: "cover", most: 1, run: cover },
      { label: "Details", testid: "details", most: 1, run: ([face]) => showFace(face, person.cover) },
    ],
  });

  function draw() {
    head.draw(person);
    renameButton.lastChild.data = person.name ? "Rename" : "Name …";
    hideButton.textContent = person.hidden ? "Unhide" : "Hide";
  }

  function rename() {
    head.rename(person, (name) => {
      if (name !== undefined) person.name = name;
      draw();
      renameButton.focus();
    });
  }

  function hide() {
    return change(patch(path(person.id), { hidden: !person.hidden }));
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
    draw();
    root.hidden = false;
    await faces.load();
  }

  async function move(chosen) {
    const other = await choosePerson({ title: `Move ${count(chosen.length, "face")} to`, except: person.id, faces: chosen.map((face) => face.id) });
    if (other && await change(post(`${path(other.id)}/move`, { faces: chosen.map((face) => face.id) }), () => to(other.id))) faces.finish();
  }

  async function notPerson(chosen) {
    if (await change(post(`${path(person.id)}/not-person`, { faces: chosen.map((face) => face.id) }))) faces.finish();
  }

  async function cover([face]) {
    if (await change(patch(path(person.id), { cover: face.id }))) faces.finish();
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
    const other = await choosePerson({ title: "Merge with", except: person.id, faces: [person.cover] });
    if (!other) return;
    const note = person.name && other.name ? ["Merged, the two are called ", nameOf(person), "."] : null;
    const verdict = await weigh(person, other, { note });
    if (verdict === "merge") await change(post("/v1/people/merge", { ids: [person.id, other.id] }));
    if (verdict === "not-same") await change(post("/v1/people/not-one", { a: person.id, b: other.id }));
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
