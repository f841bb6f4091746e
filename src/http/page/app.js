// The page's frame: which view is shown, undo, and that focus goes along.
import { get } from "./api.js";
import { CHANGED } from "./change.js";
import { button, h, icon, plainText } from "./element.js";
import { historyView } from "./history.js";
import { jobsView } from "./jobs.js";
import { photosView } from "./lists.js";
import { peopleView } from "./people.js";
import { personView } from "./person.js";
import { photoView } from "./photo.js";
import { recognizeView } from "./recognize.js";
import { reviewView } from "./review.js";
import { tell } from "./toast.js";
import { UndoButton } from "./undo.js";
import { ungroupedView } from "./ungrouped.js";

const VIEWS = {
  people: [peopleView, personView], recognize: [recognizeView], faces: [ungroupedView], photos: [photosView, photoView],
  jobs: [jobsView], history: [historyView], review: [reviewView],
};
// Views without a link of their own in the navigation.
const PART_OF = { review: "people" };
const main = document.getElementById("main");
let current = null;

/** `#/people/ID?q=x` as `{name, id, params, view}`; of an address that leads nowhere the view says so. */
function parse(hash) {
  const [path, params = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [name, id, ...rest] = path.split("/");
  const [list, one] = Object.hasOwn(VIEWS, name || "people") ? VIEWS[name || "people"] : [];
  let known = null;
  let view = id ? one : list;
  try {
    known = id ? decodeURIComponent(id) : null;
  } catch {
    view = null;
  }
  if (rest.length > 0 || !view) view = missingView;
  return { name: name || "people", id: known, params: new URLSearchParams(params), view, hash };
}

function missingView(root) {
  root.append(h("div", { class: "bar" }, h("h1", { tabindex: "-1", "data-testid": "not-found" }, "Page not found")),
    h("p", null, "There is no page at this address."), h("p", { class: "back" }, h("a", { href: "#/people" }, icon("back"), "All people")));
  return { ready: Promise.resolve() };
}

/** The galleries that the page may be about. */
async function galleries() {
  const { items } = await get("/v1/galleries");
  const link = ({ id }) => h("li", null, h("a", { href: `?gallery=${encodeURIComponent(id)}${location.hash}` }, id));
  main.append(h("ul", { class: "galleries", "data-testid": "galleries" }, items.map(link)));
}

function failed(error, again) {
  if (error.code === "WHICH_GALLERY") {
    galleries().catch(tell);
    return h("p", { class: "empty", "data-testid": "view-error" }, "Which gallery?");
  }
  const gone = error.status === 404;
  return h("div", { class: "empty", role: "alert", "data-testid": "view-error" },
    h("p", null, error.message), gone ? h("p", null, h("a", { href: "#/people" }, "All people")) : button("Try again", again));
}

async function show() {
  const route = parse(location.hash);
  const came = current;
  came?.view?.leave?.();
  main.replaceChildren();
  const here = { route, hash: location.hash, view: null };
  current = here;
  scrollTo({ top: 0, behavior: "instant" });
  for (const link of document.querySelectorAll("[data-view]")) {
    if (link.dataset.view === (PART_OF[route.name] ?? route.name)) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  here.view = route.view(main, route, came?.route ?? null);
  title();
  // The browser says nothing of a change of views; a focused heading does.
  if (came) heading()?.focus({ preventScroll: true });
  try {
    await here.view.ready;
    if (current !== here) return;
    title();
    if (came && here.view.arrive) await here.view.arrive();
  } catch (error) {
    if (current !== here) return;
    if (error.name === "AbortError") return;
    if (error.status === undefined) tell(error);
    else main.append(failed(error, show));
  }
}

const heading = () => main.querySelector("h1");

function title() {
  document.title = `${plainText(heading()?.textContent ?? "People")} · muster`;
}

async function refresh({ detail }) {
  const here = current;
  // A view that is being left has nothing to draw anew.
  if (!here?.view?.refresh || location.hash !== here.hash) return;
  try {
    await here.view.refresh(detail);
    if (current === here) title();
  } catch (error) {
    // What is shown went with the change.
    if (error.status === 404 && current === here) show();
    else tell(error);
  }
  // What had the focus may be gone.
  if (current === here && document.activeElement === document.body) heading()?.focus({ preventScroll: true });
}

document.getElementById("skip").addEventListener("click", (event) => {
  // The hash belongs to the views.
  event.preventDefault();
  main.focus();
});
const undoButton = new UndoButton(document.getElementById("undo"));
addEventListener("keydown", (event) => {
  const writing = event.target.closest?.("input, textarea, dialog");
  if (writing || event.key.toLowerCase() !== "z" || !(event.ctrlKey || event.metaKey) || event.shiftKey) return;
  event.preventDefault();
  undoButton.run();
});
document.addEventListener(CHANGED, refresh);
// A file that misses the field must not replace the page.
for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => event.preventDefault());
history.scrollRestoration = "manual";
addEventListener("hashchange", show);
show();
