// Hidden people: left out of the list, and shown again on request.
import { get, query } from "./api.js";
import { button } from "./element.js";
import { count } from "./words.js";

/** A button that shows or leaves out hidden people; `draw(listed)` says how many are listed without them. */
export class HiddenToggle {
  constructor(filter, look) {
    this.filter = filter;
    this.button = button("", () => {
      filter.hidden = filter.hidden ? "" : "true";
      look();
    }, { class: "quiet", hidden: true, "data-testid": "people-hidden" });
  }

  async draw() {
    const { q, named } = this.filter;
    const of = async (hidden) => (await get(query("/v1/people", { q, named, hidden, limit: 1 }))).total;
    const [all, listed] = await Promise.all([of("true"), of("")]);
    const hidden = all - listed;
    this.button.hidden = hidden === 0 && !this.filter.hidden;
    this.button.textContent = this.filter.hidden ? "Leave out hidden people" : `Show ${count(hidden, "hidden person", "hidden people")}`;
  }
}
