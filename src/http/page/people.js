// The grid of people.
import { get, query } from "./api.js";
import { personCard } from "./card.js";
import { button, h, say } from "./element.js";
import { HiddenToggle } from "./hidden.js";
import { addPerson } from "./newcomer.js";
import { QuestionsLink } from "./questions.js";
import { tell } from "./toast.js";
import { Windowed } from "./windowed.js";
import { count, digits } from "./words.js";

const PAGE = 100;

// What was looked for and where, for the way back from a person.
const last = { q: "", named: "", hidden: "", index: 0 };

export function peopleView(main, route, came) {
  const back = came?.name === "people" && came.id !== null;
  if (!back) Object.assign(last, { q: route.params.get("q") ?? "", named: "", hidden: "", index: 0 });
  let editing = null;
  let timer;

  const tally = h("span", { class: "tally", "data-testid": "people-total" });
  const box = h("div", { role: "list", "aria-label": "People", class: "people", "data-testid": "people" });
  const empty = h("div", { class: "empty", hidden: true });
  const search = h("input", {
    type: "search", value: last.q, placeholder: "Find a name, id or photo", "aria-label": "Find a person", autocomplete: "off", spellcheck: "false",
    "data-testid": "people-search",
    oninput: () => { clearTimeout(timer); timer = setTimeout(look, 250); },
  });
  const named = h("select", { "aria-label": "Which people", "data-testid": "people-named", onchange: () => look() },
    [["", "Everybody"], ["true", "With a name"], ["false", "Without a name"]].map(([value, text]) => h("option", { value, selected: value === last.named }, text)));
  const questions = new QuestionsLink();
  const hidden = new HiddenToggle(last, look);
  main.append(
    h("div", { class: "bar" },
      h("h1", { tabindex: "-1" }, "People ", tally),
      h("div", { class: "tools" }, search, named, button("Add a person", add, { "data-testid": "people-add" }))),
    questions.element, box, empty, h("p", { class: "after" }, hidden.button));

  const card = (person, index) => personCard(person, {
    form: editing === person.id,
    edit: () => edit(person, index),
    done: (name) => leaveForm(person, index, name),
  });
  const list = new Windowed(box, {
    page: (cursor) => get(query("/v1/people", { q: last.q, named: last.named, hidden: last.hidden, limit: PAGE, cursor })),
    draw: card, minWidth: 16.5, height: (width, rem) => 7.6 * rem,
    onTotal: (total) => {
      tally.textContent = digits(total);
      empty.hidden = total > 0;
      empty.replaceChildren(last.q || last.named
        ? h("p", null, "Nobody found.")
        : h("p", null, "No people yet: ", h("span", { "data-needs": "library" }, h("a", { href: "#/jobs" }, "index the photos"), ", or "), "add a person."));
    },
  });

  function edit(person, index) {
    const before = editing;
    editing = person.id;
    list.items.forEach((other, at) => { if (other.id === before) list.redraw(at); });
    list.redraw(index);
    box.querySelector("form input")?.select();
  }

  function leaveForm(person, index, name) {
    editing = null;
    if (name !== undefined) person.name = name;
    list.redraw(index);
    list.focus(index).catch(tell);
  }

  async function look() {
    Object.assign(last, { q: search.value.trim(), named: named.value, index: 0 });
    list.active = 0;
    try {
      await list.load();
      say(count(list.total, "person", "people"));
      hidden.draw().catch(tell);
    } catch (error) {
      tell(error);
    }
  }

  async function add() {
    const person = await addPerson();
    if (person) location.hash = `#/people/${encodeURIComponent(person.id)}`;
  }

  const load = async (least) => {
    await list.load(least);
    hidden.draw().catch(tell);
    questions.draw().catch(tell);
  };

  return {
    ready: load(back ? last.index + 1 : 1),
    // Back from a person: to the card that led there.
    arrive: back && last.index > 0 ? () => list.focus(last.index) : null,
    refresh: (change) => {
      const plain = change.said === "named" && !last.q && !last.named;
      if (!plain) return load();
      // A name moves nobody: no need to walk the whole list again.
      const names = new Map(change.renamed.map(({ group, name }) => [group, name]));
      list.items.forEach((person, index) => {
        if (!names.has(person.id)) return;
        person.name = names.get(person.id);
        if (editing !== person.id) list.redraw(index);
      });
      return null;
    },
    leave: () => {
      clearTimeout(timer);
      last.index = list.active;
      list.close();
    },
  };
}
