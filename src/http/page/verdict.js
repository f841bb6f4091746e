// How sure an answer about a face is: in words, and in figures under "Details".
import { h, nameOf } from "./element.js";
import { cosine, lead, likeness } from "./words.js";

/** A sentence about a recognised face that has a similarity. */
export function likenessOf({ person, similarity, margin }) {
  const words = likeness(similarity);
  if (!person) return `The nearest person is ${words}, which is too little to be sure.`;
  return `${words[0].toUpperCase()}${words.slice(1)}${margin === null ? "" : `, ${lead(margin)}`}.`;
}

/** The figures, and who else is near; null where nobody is. */
export function figuresOf({ person, similarity, margin, candidates }) {
  if (similarity === null) return null;
  const others = candidates.slice(person ? 1 : 0);
  const one = ({ person: other, similarity: alike }) => h("li", null,
    h("a", { href: `#/people/${encodeURIComponent(other.id)}` }, nameOf(other)), `: ${likeness(alike)} (${cosine(alike)})`);
  return h("details", { class: "details", "data-testid": "found-details" }, h("summary", null, "Details"),
    h("p", { class: "counts" }, `Similarity ${cosine(similarity)} of at most 1`, margin !== null && `, ${cosine(margin)} more than the next person`, "."),
    others.length > 0 && [h("p", { class: "counts" }, person ? "Next:" : "Nearest:"), h("ul", { class: "near" }, others.map(one))]);
}
