// Elements without markup: what comes from outside can only become text.

const SVG = "http://www.w3.org/2000/svg";

/** An element; `on...` are listeners, the rest attributes; null and false leave one out. */
export function h(tag, props, ...children) {
  const el = document.createElement(tag);
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") el.addEventListener(key.slice(2).toLowerCase(), value);
    else el.setAttribute(key, value === true ? "" : String(value));
  }
  el.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return el;
}

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** A button with words; a picture beside them is decoration. */
export function button(label, onclick, props = {}) {
  const { picture, ...rest } = props;
  return h("button", { type: "button", onclick, ...rest }, picture && icon(picture), label);
}

/** Text from outside, kept from turning the text around it. */
export function outside(text, props) {
  return h("bdi", props, text);
}

// Marks that turn the text around them, where no element can isolate it.
const TURNING = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
const BLANK = /^[\p{Default_Ignorable_Code_Point}\p{Cc}\p{Cf}\p{Z}\u2800]*$/u;

/** Whether nothing of a text can be seen. */
const isBlank = (text) => BLANK.test(text);

/** Text from outside for an attribute or the title, where there are no elements. */
export const plainText = (text) => (isBlank(text) ? "invisible name" : text.replace(TURNING, ""));

const codes = (text) => [...text].map((char) => `U+${char.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`).join(" ");

/** A person's name, or that there is none. */
export function nameOf(person) {
  if (!person.name) return h("span", { class: "name nameless" }, "No name");
  if (isBlank(person.name)) return h("span", { class: "name nameless", title: codes(person.name) }, "Invisible name");
  return outside(person.name, { class: "name" });
}

/** Says something to those who listen to the page. */
export function say(text) {
  document.getElementById("status").textContent = text;
}
