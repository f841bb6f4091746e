// Finding a person, in a dialog: those first who look most like some faces.
import { get, query } from "./api.js";
import { crop } from "./crop.js";
import { openDialog } from "./dialog.js";
import { h, nameOf } from "./element.js";
import { likePeople } from "./likeness.js";
import { tell } from "./toast.js";
import { count, likeness } from "./words.js";

const SHOWN = 20;
const SORTED = 500;
const LEAST_LIKE = 0.3;
const collator = new Intl.Collator(undefined, { sensitivity: "base", numeric: true });

/** By likeness where it is known, then by name, then the largest first. */
function sorted(people, like) {
  const order = (a, b) => {
    if (!a.name || !b.name) return (a.name ? 0 : 1) - (b.name ? 0 : 1) || b.faces - a.faces;
    return collator.compare(a.name, b.name);
  };
  return [...people].sort((a, b) => (like.get(b.id) ?? -1) - (like.get(a.id) ?? -1) || order(a, b));
}

function choice(person, like, close) {
  const alike = like.get(person.id) >= LEAST_LIKE && ` · ${likeness(like.get(person.id))}`;
  return h("li", null, h("button", {
    type: "button", class: "choice", "data-testid": "choice", "data-person": person.id, onclick: () => close(person),
  }, crop(person.cover, "", 48), h("span", { class: "who" }, nameOf(person), h("span", { class: "counts" }, count(person.faces, "face"), alike))));
}

/** The chosen Person, or null. `except` is an id that is not offered; `faces` are the ids to compare with. */
export function choosePerson({ title, except = null, faces = [] }) {
  const leave = new AbortController();
  let stop = new AbortController();
  let like = new Map();
  const status = h("p", { class: "hint", role: "status" });
  const list = h("ul", { class: "choices", "data-testid": "choices" });
  const comparing = likePeople(faces, leave.signal);
  const body = (close) => {
    const search = async () => {
      stop.abort();
      stop = new AbortController();
      const { signal } = stop;
      const q = input.value.trim();
      try {
        const found = await get(query("/v1/people", { q, limit: q ? SHOWN + 1 : SORTED }), signal);
        const others = found.items.filter((person) => person.id !== except);
        // The server sorts by what was typed, which says more than likeness does.
        const people = (q ? others : sorted(others, like)).slice(0, SHOWN);
        list.replaceChildren(...people.map((person) => choice(person, like, close)));
        const hidden = found.total - (found.items.length - others.length) - people.length;
        const how = q ? "" : like.size > 0 ? "Most alike first. " : "By name. ";
        status.textContent = people.length === 0 ? "Nobody found." : how + (hidden > 0 ? `The first ${people.length}; type to find ${count(hidden, "other")}.` : count(people.length, "person", "people"));
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
    comparing.then((found) => {
      like = found;
      // Under somebody's fingers the list stays as it is.
      if (found.size > 0 && !list.contains(document.activeElement)) search();
    });
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
  return openDialog({ title, body, testid: "choose-dialog" }).finally(() => {
    stop.abort();
    leave.abort();
  });
}
