// Questions that muster has: one at a time, with both faces large.
import { get, post } from "./api.js";
import { busy, change } from "./change.js";
import { crop } from "./crop.js";
import { button, h, icon, nameOf, say } from "./element.js";
import { count, fileName } from "./words.js";

const AT_ONCE = 20;
const LARGE = 320;
const ANSWERS = [["yes", "Yes", "primary"], ["no", "No", null], ["skip", "Skip", null]];

function side(face, alt, who, detail, testid) {
  return h("figure", { class: "question-side" }, crop(face, alt, LARGE), h("figcaption", { "data-testid": testid }, who, h("span", { class: "counts" }, detail)));
}

const link = (person) => h("a", { href: `#/people/${encodeURIComponent(person.id)}` }, nameOf(person));

export function reviewView(main) {
  let question = null;
  let answering = false;
  // Questions whose answer the server refused; they are not asked again here.
  const refused = new Set();
  const keyOf = ({ face, person }) => `${face.id} ${person.id}`;
  const heading = h("h1", { tabindex: "-1", "data-testid": "question" }, "Questions");
  const left = h("p", { class: "hint", "data-testid": "questions-left" });
  const faces = h("div", { class: "question-faces" });
  const buttons = h("div", { class: "answers", hidden: true }, ANSWERS.map(([answer, label, kind]) => button([label, " ", h("kbd", { "aria-hidden": "true" }, label[0])], () => give(answer), {
    class: kind, "aria-keyshortcuts": label[0], "data-testid": `answer-${answer}`,
  })));
  const over = h("div", { class: "empty", hidden: true, "data-testid": "questions-over" },
    h("p", null, "No question is left. New ones may come when photos are indexed."), h("p", null, h("a", { href: "#/people" }, "All people")));
  const section = h("section", { class: "question", tabindex: "-1", "aria-label": "Question", onkeydown: key }, h("div", { class: "bar" }, heading), left, faces, buttons, over);
  main.append(h("p", { class: "back" }, h("a", { href: "#/people" }, icon("back"), "All people")), section);

  // Letters count only while the focus is in the question, so that they hurt nobody who dictates or types elsewhere.
  function key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const answer = ANSWERS.find(([, label]) => label[0] === event.key.toUpperCase());
    if (!answer || !question) return;
    event.preventDefault();
    give(answer[0]);
  }

  async function give(answer) {
    if (answering || !question) return;
    const asked = question;
    answering = true;
    try {
      const done = await change(post("/v1/suggestions", { face: asked.face.id, person: asked.person.id, answer }));
      if (done) {
        // The next one comes with the news of the change.
        if (question === asked) question = null;
        return;
      }
      refused.add(keyOf(asked));
      await busy(load());
    } finally {
      answering = false;
    }
  }

  function finish() {
    question = null;
    heading.replaceChildren("Questions");
    left.textContent = "";
    faces.replaceChildren();
    buttons.hidden = true;
    over.hidden = false;
    say("No question is left.");
    if (section.contains(document.activeElement)) heading.focus({ preventScroll: true });
  }

  async function load() {
    try {
      return await show();
    } catch (error) {
      // The faces that are shown are those of a question that is answered: nothing may be said of them.
      question = null;
      buttons.hidden = true;
      faces.replaceChildren();
      left.replaceChildren(h("button", { type: "button", onclick: () => busy(load()) }, "Try again"));
      throw error;
    }
  }

  async function show() {
    const { items, total } = await get(`/v1/suggestions?limit=${AT_ONCE}`);
    const next = items.find((item) => !refused.has(keyOf(item)));
    if (!next) return finish();
    const id = encodeURIComponent;
    const [person, other] = await Promise.all([
      get(`/v1/people/${id(next.person.id)}`), next.face.person ? get(`/v1/people/${id(next.face.person.id)}`) : null,
    ]);
    question = next;
    over.hidden = true;
    buttons.hidden = false;
    const named = person.name ? person : other?.name ? other : null;
    heading.replaceChildren(...(named ? ["Is this ", nameOf(named), "?"] : ["Are these one person?"]));
    left.textContent = `${count(total, "question")} left`;
    const alone = h("span", { title: next.face.path }, `One face in ${fileName(next.face.path)}`);
    faces.replaceChildren(
      side(next.face.id, "The face that is asked about", other ? link(other) : "In no group", other ? count(other.faces, "face") : alone, "question-face"),
      side(person.cover, "The cover of this person", link(person), count(person.faces, "face"), "question-person"));
    say(`${heading.textContent} ${left.textContent}`);
    // Answers by keys go on without a click.
    if (document.activeElement === document.body) heading.focus({ preventScroll: true });
    return null;
  }

  return { ready: load(), refresh: load };
}
