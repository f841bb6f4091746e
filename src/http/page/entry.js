// One change of the history, in a sentence.
import { nameOf, outside } from "./element.js";
import { moveLine } from "./sentences.js";
import { count } from "./words.js";

const NAMELESS = "a person without a name";
// Kinds of which the sentence needs neither people nor faces.
const PLAIN = new Set(["not-same", "is-face", "not-a-face", "imported", "undone", "forgotten", "named"]);

/** Elements with words between them: "Ada, Ben and Clara". */
function listed(parts) {
  return parts.flatMap((part, at) => [at === 0 ? "" : at === parts.length - 1 ? " and " : ", ", part]);
}

function named({ people, summary }) {
  const person = people.find(({ before, after }) => before !== after);
  const [before, after] = [person?.before, person?.after].map((name) => name && nameOf({ name }));
  if (before && after) return [before, " was renamed ", after];
  if (after) return ["A person was named ", after];
  if (before) return ["The name ", before, " was taken away"];
  return summary ? ["A person was named: ", outside(summary)] : ["A name was changed"];
}

const sum = (moved) => moved.reduce((all, way) => all + way.faces, 0);

/** Sentences by the kind of a change. `names(or)` lists the people with a name whom the change names, else says `or`. */
const SENTENCES = {
  named,
  hidden: (entry, names) => [...names(NAMELESS), " was hidden"],
  shown: (entry, names) => [...names(NAMELESS), " was listed again"],
  described: (entry, names) => ["Birth date, notes or cover of ", ...names(NAMELESS), " changed"],
  merged: (entry, names) => [...names("people without names"), ` became one person, ${count(sum(entry.moved), "face")} moved`],
  "same-person": (entry, names) => [...names("people without names"), ` became one person, ${count(sum(entry.moved), "face")} moved`],
  split: (entry, names) => [`${count(sum(entry.moved), "face")} of `, ...names(NAMELESS), " became a new person"],
  confirmed: (entry, names) => ["Faces of ", ...names(NAMELESS), " were confirmed"],
  "not-this-person": (entry, names) => [`${count(sum(entry.moved), "face")} left, not being `, ...names("that person")],
  "not-one-person": (entry, names) => ["Two people, not one: ", ...names("both without a name")],
  "not-same": () => ["Two faces are of two people"],
  skipped: (entry, names) => ["A question about ", ...names(NAMELESS), " was skipped"],
  "is-face": () => ["A detection counts as a face"],
  "not-a-face": () => ["A detection was taken out as no face"],
  enrolled: (entry, names) => [...names("somebody"), " was added from photos"],
  imported: () => ["Names were imported"],
  undone: (entry) => [`Change ${entry.undoes} was taken back`],
  forgotten: () => ["Something was forgotten for good"],
};

/** Texts and elements that say what an entry of the history changed. */
export function entrySentence(entry) {
  const known = new Map(entry.people.map((person) => [person.id, person.name ?? person.after ?? person.before]));
  const who = (id) => (known.get(id) ? nameOf({ name: known.get(id) }) : NAMELESS);
  const names = (or) => {
    const all = [...new Set([...known.values()].filter(Boolean))];
    return all.length > 0 ? listed(all.map((name) => nameOf({ name }))) : [or];
  };
  // A fleet lists summaries only.
  const brief = entry.people.length === 0 && entry.summary !== "" && !PLAIN.has(entry.said);
  if (entry.said === "moved" && !brief) {
    const lines = entry.moved.map((way) => moveLine(way, who).map((part) => (typeof part === "string" ? part.replace(/\.$/, "") : part)));
    return lines.flatMap((line, at) => [at > 0 ? "; " : "", ...line]);
  }
  const sentence = brief ? null : SENTENCES[entry.said];
  const parts = sentence ? sentence(entry, names) : [`${entry.said.replaceAll("-", " ")}: `, outside(entry.summary)];
  const at = parts.findIndex((part) => part !== "");
  if (typeof parts[at] === "string") parts[at] = parts[at][0].toUpperCase() + parts[at].slice(1);
  return parts;
}
