// Short messages in a corner, with what can be done about them.
import { button, h, outside } from "./element.js";
import { Problem } from "./api.js";

const MOST = 3;
const SECONDS = 12;

/**
 * Shows `told`: a text, or lines of texts and elements; an error stays until it is closed. Time stands still while somebody points at it or is in it.
 * `instead` takes the place of the one before, whose Undo would take back something else by now.
 */
export function toast(told, { actions = [], error = false, instead = false } = {}) {
  const box = document.getElementById("toasts");
  let timer;
  const close = () => {
    clearTimeout(timer);
    if (el.contains(document.activeElement)) document.getElementById("main").focus({ preventScroll: true });
    el.remove();
  };
  const lines = typeof told === "string" ? [outside(told.trim())] : told;
  const start = () => {
    clearTimeout(timer);
    // More lines take longer to read.
    if (!error) timer = setTimeout(close, (SECONDS + 3 * (lines.length - 1)) * 1000);
  };
  const stop = () => clearTimeout(timer);
  const el = h("div", {
    class: `toast${error ? " error" : ""}${instead ? " instead" : ""}`,
    "data-testid": error ? "toast-error" : "toast",
    role: error ? "alert" : null,
    onpointerenter: stop, onpointerleave: start, onfocusin: stop, onfocusout: start,
    onkeydown: (event) => { if (event.key === "Escape") close(); },
  }, h("div", { class: "toast-text" }, lines.map((line) => h("p", null, line))),
  h("div", { class: "toast-actions" },
    actions.map(({ label, run }) => button(label, () => { close(); run(); }, { "data-testid": `toast-${label.toLowerCase()}` })),
    button("", close, { "aria-label": "Close the message", class: "plain", picture: "close" })));
  if (instead) for (const old of box.querySelectorAll(".instead")) old.remove();
  box.append(el);
  while (box.children.length > MOST) box.firstChild.remove();
  start();
}

/** What went wrong, in words. Calls that were given up are no error. */
export function tell(error) {
  if (error?.name === "AbortError") return;
  if (!(error instanceof Problem)) console.error(error);
  toast(error instanceof Problem ? error.message : "Something on this page went wrong. Reload it and try again.", { error: true });
}
