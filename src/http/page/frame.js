// A photo with boxes over its faces.
import { h } from "./element.js";

const TALLEST = 34;

/** A grey field of the photo's shape, where the photo itself cannot be shown. */
export function placeholder(width, height) {
  const field = h("div", { class: "no-picture" });
  field.style.aspectRatio = `${width} / ${height}`;
  field.dataset.width = `min(100%, ${(TALLEST * width) / height}rem)`;
  return field;
}

/** `boxes` lie over `picture` as parts of `width` and `height`; each `{box, label, kind}`; a note stands below. */
export function framed(picture, width, height, boxes, note = null) {
  const frame = h("div", { class: "frame", "data-testid": "frame" }, picture);
  if (picture.dataset.width) frame.style.width = picture.dataset.width;
  for (const { box, label, kind } of boxes) {
    const el = h("div", { class: `box ${kind}`, "aria-hidden": "true", "data-testid": "box", "data-box": label }, h("span", null, label));
    el.style.left = `${(box.x / width) * 100}%`;
    el.style.top = `${(box.y / height) * 100}%`;
    el.style.width = `${(box.width / width) * 100}%`;
    el.style.height = `${(box.height / height) * 100}%`;
    frame.append(el);
  }
  return h("div", { class: "framed" }, frame, note && h("p", { class: "hint" }, note));
}
