// Why two faces are together or apart, in plain words.
import { h, outside } from "./element.js";
import { cosine, likeness, percent } from "./words.js";

const RULES = {
  unknown: "One of the two faces is not in the library any more.",
  not_a_face: "One of the two is probably no face, so muster puts it with nobody.",
  connected: "They look alike, and so do the other faces of their group.",
  said_same: "Somebody said that they are one person.",
  one_moment: "In photos taken at one moment, each looks most like the other.",
  said_not_same: "Somebody said that they are two people.",
  one_photo: "Both are in one photo, and nobody is in a photo twice.",
  low_quality: "One of the two faces is too poor to tell.",
  contested: "Another face in the same photo looks just as much like it.",
  below_threshold: "They do not look enough alike, and no other faces link them.",
  mean_too_low: "Some of their faces look alike, but taken together the two do not look alike enough.",
  contrast: "Each person's own faces look much more alike than the two do. They may only resemble each other.",
  order: "Each of them looks more like somebody else.",
};

/** What the server says of two faces; its figures and own words are under "Details". */
export function explained(why) {
  const rule = RULES[why.rule?.rule];
  return h("div", { class: "why", "data-testid": "why" },
    h("p", null, h("b", null, why.together ? "muster has them together." : "muster has them apart."), " ", rule ?? outside(why.text)),
    typeof why.similarity === "number" && h("p", { class: "counts" }, `The two faces alone: ${likeness(why.similarity)}.`),
    h("details", { class: "details" }, h("summary", null, "Details"), h("dl", { class: "receipt" },
      typeof why.similarity === "number" && [h("dt", null, "Similarity, at most 1"), h("dd", null, cosine(why.similarity))],
      typeof why.probability === "number" && [h("dt", null, "Probability of one person, by these two faces alone"), h("dd", null, percent(why.probability))],
      h("dt", null, "Rule"), h("dd", null, outside(why.text)))));
}
