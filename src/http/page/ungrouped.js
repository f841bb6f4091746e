// Faces in no group.
import { get, post, query } from "./api.js";
import { change } from "./change.js";
import { choosePerson } from "./chooser.js";
import { h } from "./element.js";
import { showFace } from "./face.js";
import { FaceList } from "./faces.js";
import { count } from "./words.js";

const PAGE = 100;

export function ungroupedView(main) {
  const root = h("section", { "aria-label": "Faces in no group" });
  const empty = h("p", { class: "empty", hidden: true }, "Every face is in a group.");
  main.append(
    h("div", { class: "bar" }, h("h1", { tabindex: "-1" }, "Faces in no group")),
    h("p", { class: "hint" }, "Seen once, or too poor to be sure."), root, empty);
  const to = (id) => ({ label: "Open", run: () => { location.hash = `#/people/${encodeURIComponent(id)}`; } });
  const faces = new FaceList(root, {
    label: "Faces in no group",
    page: (cursor) => get(query("/v1/faces", { in_group: false, limit: PAGE, cursor })),
    actions: [
      {
        label: "Move to …", testid: "move",
        run: async (chosen) => {
          const person = await choosePerson({ title: `Move ${count(chosen.length, "face")} to`, faces: chosen.map((face) => face.id) });
          if (person && await change(post(`/v1/people/${encodeURIComponent(person.id)}/move`, { faces: chosen.map((face) => face.id) }), () => to(person.id))) faces.finish();
        },
      },
      {
        label: "One new person", testid: "merge", least: 2,
        run: async (chosen) => {
          const done = await change(post("/v1/people/merge", { ids: chosen.map((face) => face.id) }), (told) => {
            const group = told.moved.find((face) => face.to)?.to;
            return group ? to(group) : null;
          });
          if (done) faces.finish();
        },
      },
      { label: "Details", testid: "details", most: 1, run: ([face]) => showFace(face) },
    ],
  });
  const load = async () => {
    await faces.load();
    empty.hidden = faces.total > 0;
    root.hidden = faces.total === 0;
  };
  return { ready: load(), refresh: load, leave: () => faces.close() };
}
