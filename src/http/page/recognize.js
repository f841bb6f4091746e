// Recognising photos that are not in the library.
import { recognize } from "./api.js";
import { CHANGED } from "./change.js";
import { button, h, icon, outside, say } from "./element.js";
import { Recognition } from "./recognition.js";
import { count } from "./words.js";

const AT_ONCE = 2;
const NAMED = 3;

// Results stay while other views are looked at.
const results = [];
const waiting = [];
let running = 0;
let tellViews = () => {};

function next() {
  while (running < AT_ONCE && waiting.length > 0) {
    const result = waiting.shift();
    if (!results.includes(result)) continue;
    running += 1;
    result.start(recognize).finally(() => {
      running -= 1;
      tellViews();
      next();
    });
  }
}

document.addEventListener(CHANGED, ({ detail }) => {
  for (const result of results) result.changed(detail);
});

export function recognizeView(main) {
  const list = h("div", { class: "recognitions", "data-testid": "recognitions" });
  const input = h("input", { type: "file", multiple: true, accept: "image/*,.heic,.heif", class: "unseen", id: "photo-input", "data-testid": "photo-input", onchange: () => { add(input.files); input.value = ""; } });
  const field = h("div", { class: "drop", "data-testid": "drop" },
    icon("recognize"),
    h("p", null, "Drop photos here, or paste one."),
    h("label", { class: "as-button primary", for: "photo-input" }, "Choose photos"), input,
    h("p", { class: "hint" }, "JPEG, PNG, WebP or HEIC. They are looked at and not kept."));
  const refused = h("p", { class: "warning", role: "alert", hidden: true, "data-testid": "no-photos" });
  const clear = button("Clear", () => {
    refused.hidden = true;
    for (const result of results.splice(0)) result.close();
    waiting.length = 0;
    list.replaceChildren();
    clear.hidden = true;
    say("Cleared");
    input.focus();
  }, { "data-testid": "recognize-clear", hidden: results.length === 0 });
  main.append(h("div", { class: "bar" }, h("h1", { tabindex: "-1" }, "Recognise"), clear), field, refused, list);
  list.append(...results.map((result) => result.element));

  /** Says which files are no photos, and what to do. */
  function refuse(files) {
    refused.hidden = files.length === 0;
    const named = files.slice(0, NAMED).flatMap((file, at) => [at > 0 ? ", " : "", outside(file.name)]);
    refused.replaceChildren(...named, files.length > NAMED ? ` and ${files.length - NAMED} more` : "",
      files.length === 1 ? " is no photo. " : " are no photos. ", "Choose JPEG, PNG, WebP or HEIC files.");
  }

  function add(files) {
    const isPhoto = (file) => file.type.startsWith("image/") || /\.(heic|heif|jpe?g|png|webp)$/i.test(file.name);
    const fresh = [...files].filter(isPhoto);
    refuse([...files].filter((file) => !isPhoto(file)));
    if (fresh.length === 0) return;
    for (const file of fresh) {
      const result = new Recognition(file);
      results.push(result);
      waiting.push(result);
      list.append(result.element);
    }
    clear.hidden = false;
    next();
    say(`${count(fresh.length, "photo")} to look at`);
  }
  tellViews = () => say(`${results.filter((result) => result.over).length} of ${count(results.length, "photo")} looked at`);

  let depth = 0;
  const over = (by) => { depth = Math.max(0, depth + by); field.classList.toggle("over", depth > 0); };
  const handlers = {
    paste: (event) => { if (event.clipboardData?.files.length > 0) add(event.clipboardData.files); },
    dragenter: () => over(1),
    dragleave: () => over(-1),
    drop: (event) => { over(-depth); if (event.dataTransfer?.files.length > 0) add(event.dataTransfer.files); },
  };
  for (const [kind, handler] of Object.entries(handlers)) document.addEventListener(kind, handler);
  return {
    leave: () => {
      tellViews = () => {};
      for (const [kind, handler] of Object.entries(handlers)) document.removeEventListener(kind, handler);
    },
  };
}
