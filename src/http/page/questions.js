// The way to the questions that muster has, where there are any.
import { get } from "./api.js";
import { h } from "./element.js";
import { count } from "./words.js";

export class QuestionsLink {
  constructor() {
    this.link = h("a", { class: "as-button", href: "#/review", "data-testid": "to-review" });
    this.element = h("p", { class: "questions", hidden: true }, this.link, h("span", { class: "hint" }, "Each answer puts faces right."));
  }

  async draw() {
    const { total } = await get("/v1/suggestions?limit=1");
    this.element.hidden = total === 0;
    this.link.textContent = `Answer ${count(total, "question")}`;
  }
}
