// The changes that somebody made, the last first, each with what takes it back.
import { get, query } from "./api.js";
import { busy, undo } from "./change.js";
import { button, h, outside, say } from "./element.js";
import { entrySentence } from "./entry.js";
import { count } from "./words.js";

const PAGE = 50;
const time = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

function state(entry) {
  if (entry.undone_by) return h("p", { class: "counts" }, `Taken back by change ${entry.undone_by}.`);
  if (entry.said === "forgotten") return h("p", { class: "counts" }, "Forgetting cannot be taken back.");
  return button("Take back", () => undo(entry.change, entry.said === "undone" ? "Undo" : "Redo"), {
    "aria-label": `Take back change ${entry.change}`, "data-testid": "take-back",
  });
}

function row(entry) {
  const when = new Date(entry.at_ms);
  return h("li", { class: entry.undone_by ? "change undone" : "change", "data-testid": "change", "data-change": entry.change },
    h("div", { class: "who" },
      h("p", { class: "change-text", "data-testid": "change-text" }, entrySentence(entry), "."),
      h("p", { class: "counts" }, `${entry.change} · `, h("time", { datetime: when.toISOString() }, time.format(when)), " · by ", outside(entry.by))),
    state(entry));
}

export function historyView(main) {
  let before = null;
  let items = [];
  const list = h("ol", { class: "changes", "data-testid": "changes" });
  const empty = h("p", { class: "empty", hidden: true, "data-testid": "history-empty" }, "Nothing was changed yet. Names, merges and other changes are listed here, and can be taken back.");
  const moreButton = button("Show earlier changes", more, { hidden: true, "data-testid": "history-more" });
  main.append(
    h("div", { class: "bar" }, h("h1", { tabindex: "-1" }, "History")),
    h("p", { class: "hint" }, "Taking a change back leaves the later ones as they are."), list, empty, h("p", { class: "after" }, moreButton));

  const page = (of, limit) => get(query("/v1/history", { before: of, limit }));

  function draw(answer) {
    before = answer.next;
    moreButton.hidden = !before;
    empty.hidden = items.length > 0;
    list.replaceChildren(...items.map(row));
  }

  async function more() {
    const answer = await busy(page(before, PAGE));
    if (!answer) return;
    const first = items.length;
    items.push(...answer.items);
    draw(answer);
    say(count(answer.items.length, "earlier change"));
    list.children[first]?.querySelector("button")?.focus();
  }

  /** As many as are shown, and those that came meanwhile. */
  async function load() {
    const focused = document.activeElement?.closest?.("[data-change]")?.dataset.change;
    const answer = await page(null, Math.min(500, Math.max(PAGE, items.length + 1)));
    items = answer.items;
    draw(answer);
    if (focused) list.querySelector(`[data-change="${focused}"] button, [data-testid=take-back]`)?.focus({ preventScroll: true });
  }

  return { ready: load(), refresh: load };
}
