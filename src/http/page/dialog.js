// Modal dialogs: native ones, so the browser keeps focus inside and gives it back.
import { button, h } from "./element.js";

let ids = 0;

/**
 * Resolves with the value of the action that was taken, or null. A body may be a function of `close`.
 * An action's value may be a function of the dialog, or one that waits; where it gives undefined the dialog stays.
 */
export function openDialog({ title, body, actions = [], cancel = "Cancel", testid, wide = false }) {
  return new Promise((resolve) => {
    let result = null;
    const before = document.activeElement;
    const id = `dialog-${ids += 1}`;
    const close = (value) => {
      result = value;
      dialog.close();
    };
    const take = async (action) => {
      const value = typeof action.value === "function" ? await action.value(dialog) : action.value;
      if (value !== undefined) close(value);
    };
    const first = actions.find((action) => action.kind === "primary");
    const buttons = [
      cancel && button(cancel, () => dialog.close(), { "data-testid": "dialog-cancel" }),
      ...actions.map((action) => h("button", {
        type: action === first ? "submit" : "button",
        class: action.kind,
        "data-testid": `dialog-${action.testid ?? "accept"}`,
        onclick: action === first ? null : () => take(action),
      }, action.label)),
    ];
    const form = h("form", {
      onsubmit: (event) => {
        event.preventDefault();
        if (first) take(first);
      },
    }, h("h2", { id, tabindex: "-1" }, title),
    h("div", { class: "dialog-body" }, typeof body === "function" ? body(close) : body),
    h("div", { class: "dialog-actions" }, buttons));
    const dialog = h("dialog", { "aria-labelledby": id, class: wide ? "wide" : null, "data-testid": testid }, form);
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) dialog.close();
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (before instanceof HTMLElement && before.isConnected) before.focus({ preventScroll: true });
      resolve(result);
    });
    document.body.append(dialog);
    dialog.showModal();
    (dialog.querySelector("input, textarea, [autofocus]") ?? dialog.querySelector("h2")).focus();
  });
}
