// Finding a person, in a dialog.
import { get, query } from "./api.js";
import { crop } from "./crop.js";
import { openDialog } from "./dialog.js";
import { h, nameOf } from "./element.js";
import { tell } from "./toast.js";
import { count } from "./words.js";

const MOST = 20;

/** The chosen Person, or null. `except` is an id that is not offered. */
export function choosePerson({ title, except = null }) {
  let stop = new AbortController();
  const status = h("p", { class: "hint", role: "status" });
  const list = h("ul", { class: "choices", "data-testid": "choices" });
  const body = (close) => {
    const search = async () => {
      stop.abort();
      stop = new AbortController();
      const { signal } = stop;
      try {
        const found = await get(query("/v1/people", { q: input.value.trim(), limit: MOST + 1 }), signal);
        const people = found.items.filter((person) => person.id !== except).slice(0, MOST);
        list.replaceChildren(...people.map((person) => h("li", null, h("button", {
          type: "button", class: "choice", "data-testid": "choice", "data-person": person.id, onclick: () => close(person),
        }, crop(person.cover, "", 48), h("span", { class: "who" }, nameOf(person),
          h("span", { class: "counts" }, count(person.faces, "face")))))));
        status.textContent = people.length === 0 ? "Nobody found." : found.total > people.length + 1 ? `The first ${people.length} of ${count(found.total, "person", "people")}; type to find others.` : count(people.length, "person", "people");
      } catch (error) {
        tell(error);
      }
    };
    let timer;
    const input = h("input", {
      type: "search", placeholder: "Find a name, id or photo", "aria-label": "Find a person", autocomplete: "off", spellcheck: "false",
      "data-testid": "choose-search",
      oninput: () => { clearTimeout(timer); timer = setTimeout(search, 200); },
      onkeydown: (event) => {
        // Enter takes the only one that is left.
        if (event.key !== "Enter") return;
        event.preventDefault();
        const choices = list.querySelectorAll("button");
        if (choices.length === 1) choices[0].click();
      },
    });
    search();
    return h("div", { class: "stack", onkeydown: arrows }, input, status, list);
  };
  const arrows = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const stops = [...event.currentTarget.querySelectorAll("input, .choice")];
    const to = stops[stops.indexOf(document.activeElement) + step];
    event.preventDefault();
    to?.focus();
  };
  return openDialog({ title, body, testid: "choose-dialog" }).finally(() => stop.abort());
}
