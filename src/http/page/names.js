// A field for a name, completed from the names that there are.
import { get, query } from "./api.js";
import { crop } from "./crop.js";
import { h, nameOf } from "./element.js";
import { count } from "./words.js";

const MOST = 5;
const PAUSE = 150;
let ids = 0;

const folded = (text) => text.normalize("NFC").trim().toLowerCase();

/** Another person who has this name, or null. Case does not matter. */
export async function personCalled(name, except) {
  const { items } = await get(query("/v1/people", { q: name.slice(0, 200), named: true, hidden: true, limit: 50 }));
  return items.find((person) => person.id !== except && folded(person.name) === folded(name)) ?? null;
}

/** `{element, input}`: an input with a list of names under it. `except` is an id whose name is not offered. */
export function nameField(value, except) {
  const id = `names-${ids += 1}`;
  let timer;
  let round = 0;
  let active = -1;
  const list = h("ul", { id, role: "listbox", class: "names", "aria-label": "Names that there are", hidden: true, "data-testid": "names" });
  const options = () => [...list.children];

  function mark(index) {
    active = index;
    options().forEach((option, at) => option.setAttribute("aria-selected", String(at === active)));
    if (active < 0) input.removeAttribute("aria-activedescendant");
    else input.setAttribute("aria-activedescendant", options()[active].id);
  }

  function close() {
    clearTimeout(timer);
    round += 1;
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    mark(-1);
  }

  function take(index) {
    input.value = options()[index].dataset.name;
    close();
    input.focus();
  }

  async function complete() {
    const mine = round += 1;
    const q = input.value.trim();
    const found = q ? await get(query("/v1/people", { q, named: true, limit: 20 })).catch(() => null) : null;
    if (mine !== round || !input.isConnected) return;
    // The search finds photos too; a name has what was typed.
    const people = (found?.items ?? []).filter((person) => person.id !== except && person.name?.toLowerCase().includes(q.toLowerCase())).slice(0, MOST);
    list.replaceChildren(...people.map((person, at) => h("li", {
      id: `${id}-${at}`, role: "option", "aria-selected": "false", "data-name": person.name, "data-testid": "name-option",
      // The input keeps the focus.
      onmousedown: (event) => event.preventDefault(), onclick: () => take(at),
    }, crop(person.cover, "", 36), h("span", { class: "who" }, nameOf(person), h("span", { class: "counts" }, count(person.faces, "face"))))));
    list.hidden = people.length === 0;
    input.setAttribute("aria-expanded", String(people.length > 0));
    mark(-1);
  }

  const input = h("input", {
    value, "aria-label": "Name", maxlength: "200", autocomplete: "off", spellcheck: "false", dir: "auto", placeholder: "Name",
    role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": id, "data-testid": "rename-input",
    oninput: () => { clearTimeout(timer); timer = setTimeout(complete, PAUSE); },
    onblur: close,
    onkeydown: (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      const handled = !list.hidden && (step || event.key === "Escape" || (event.key === "Enter" && active >= 0));
      if (!handled) return;
      event.preventDefault();
      event.stopPropagation();
      if (step) mark((active + step + options().length + (active < 0 && step < 0 ? 1 : 0)) % options().length);
      else if (event.key === "Enter") take(active);
      else close();
    },
  });
  return { input, element: h("div", { class: "name-field" }, input, list) };
}
