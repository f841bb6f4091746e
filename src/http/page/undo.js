// The button that takes back the last change, labelled with it, and off where there is none.
import { get, query } from "./api.js";
import { CHANGED, undo } from "./change.js";
import { entrySentence } from "./entry.js";
import { toast } from "./toast.js";

const PAGE = 20;
const MOST_PAGES = 10;
const NOTHING = "There is nothing to take back.";
const FORGOTTEN = "The last change was a forgetting, which cannot be taken back. The history has earlier changes.";

/** The last change that is in force, or null. */
async function lastChange() {
  let before = null;
  for (let pages = 0; pages < MOST_PAGES; pages += 1) {
    const { items, next } = await get(query("/v1/history", { before, limit: PAGE }));
    const found = items.find((entry) => !entry.undone_by && entry.said !== "undone");
    if (found || !next) return found ?? null;
    before = next;
  }
  return null;
}

export class UndoButton {
  constructor(button) {
    this.button = button;
    this.what = button.querySelector("[data-what]");
    this.last = null;
    this.round = 0;
    button.addEventListener("click", () => this.run());
    document.addEventListener(CHANGED, () => this.draw());
    addEventListener("focus", () => this.draw());
    this.draw();
  }

  /** Asks what is last now; others may change things too. */
  draw() {
    this.drawn = this.ask(this.round += 1);
  }

  async ask(round) {
    // The view tells what is wrong.
    const last = await lastChange().catch(() => null);
    if (round !== this.round) return;
    const forgotten = last?.said === "forgotten";
    this.last = forgotten ? null : last;
    this.why = forgotten ? FORGOTTEN : NOTHING;
    // It keeps the focus, and says why when it is pressed.
    this.button.setAttribute("aria-disabled", String(!this.last));
    this.what.replaceChildren(...(this.last ? entrySentence(this.last) : []));
    this.button.title = this.last ? `Take back: ${this.what.textContent} (Ctrl+Z)` : this.why;
  }

  /** Takes back what is last now, also where the label lags behind. */
  async run() {
    let seen = null;
    while (seen !== this.drawn) await (seen = this.drawn);
    if (this.last) await undo(this.last.change);
    else toast(this.why, { instead: true });
  }
}
