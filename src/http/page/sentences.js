// A change in sentences, with names in place of ids.
import { nameOf } from "./element.js";
import { birthDate, count } from "./words.js";

const NAMELESS = "a person without a name";

/** Whether a person is called something; before and after are states of the API. */
const isNamed = (state) => Boolean(state?.name);
const hasFaces = (state) => Boolean(state && state.faces > 0);

/** Ids in a change of which it does not tell the names. */
export function untold(change) {
  const told = new Set((change.people ?? []).map((person) => person.id));
  const named = (change.moved ?? []).flatMap(({ from, to }) => [from, to]);
  return [...new Set(named.filter((id) => id && !told.has(id)))];
}

/** Faces by where they were and where they went, as `[{from, to, faces}]`. */
function ways(moved) {
  const all = new Map();
  for (const { from, to } of moved) {
    const key = `${from} ${to}`;
    const way = all.get(key) ?? { from, to, faces: 0 };
    way.faces += 1;
    all.set(key, way);
  }
  return [...all.values()];
}

/** "1 face went from Ada to Ben.", for one way. `who` names the person of an id. */
export function moveLine({ from, to, faces }, who) {
  const left = from === null ? "no group" : who(from);
  const many = faces !== 1;
  if (to === null) return [count(faces, "face"), " left ", left, ` and ${many ? "are" : "is"} in no group now.`];
  return [count(faces, "face"), " went from ", left, " to ", who(to), "."];
}

function detailLines({ before, after }, who) {
  const lines = [];
  if (before?.name !== after.name && isNamed(after)) lines.push(isNamed(before) ? [nameOf(before), " is called ", nameOf(after), " now."] : ["This person is called ", nameOf(after), " now."]);
  if (isNamed(before) && !isNamed(after)) lines.push([nameOf(before), " has no name any more."]);
  const was = before ?? { hidden: false, born: null, notes: null };
  if (was.hidden !== after.hidden) lines.push([who(), after.hidden ? " is hidden: lists leave this person out." : " is listed again."]);
  if (was.born !== after.born) lines.push(after.born ? ["The birth date of ", who(), ` is ${birthDate(after.born)} now.`] : ["The birth date of ", who(), " was taken away."]);
  if (was.notes !== after.notes) lines.push(["The notes of ", who(), after.notes ? " were changed." : " were taken away."]);
  return lines;
}

function mergedLine(from, into) {
  const all = [from, into?.before].filter(isNamed).map(nameOf);
  const who = all.length === 2 ? [all[0], " and ", all[1]] : all.length === 1 ? [all[0], ` and ${NAMELESS}`] : ["two people without names"];
  return [...who, ` are one person now, with ${count(into?.after?.faces ?? 0, "face")}.`];
}

/** Lines about a Change of the API, each a list of texts and elements. `names` has names that the change does not tell. */
export function sentences(change, names = new Map()) {
  const people = new Map((change.people ?? []).map((person) => [person.id, person]));
  const who = (id) => {
    const person = people.get(id);
    const state = isNamed(person?.after) ? person.after : person?.before;
    if (isNamed(state)) return nameOf(state);
    if (names.get(id)) return nameOf({ name: names.get(id) });
    return person && !hasFaces(person.before) ? "a new person" : NAMELESS;
  };
  const lines = [];
  const merged = (change.events ?? []).filter((event) => event.event === "merged");
  for (const { from, into } of merged) lines.push(mergedLine(people.get(from)?.before, people.get(into)));
  for (const person of people.values()) {
    const { id, before, after } = person;
    const isMade = !before && change.said !== "named";
    if (after && !isMade) lines.push(...detailLines(person, () => who(id)));
    const isCovered = ["described", "undone"].includes(change.said) && before && after && before.cover !== after.cover;
    if (isCovered) lines.push([who(id), after.cover ? " is shown by another face." : " is shown by the best face again."]);
  }
  const isMerge = ({ from, to }) => merged.some((event) => event.from === from && event.into === to);
  for (const way of ways(change.moved ?? [])) if (!isMerge(way)) lines.push(moveLine(way, who));
  for (const event of (change.events ?? []).filter(({ event: kind, group }) => kind === "died" && isNamed(people.get(group)?.before))) lines.push([who(event.group), " has no faces left."]);
  if (lines.length === 0) lines.push([change.change ? "Noted. No group changed." : "It was so already: nothing changed."]);
  return lines.map(([first, ...rest]) => [typeof first === "string" ? first[0].toUpperCase() + first.slice(1) : first, ...rest]);
}
