// Pictures of faces.
import { address, apiKey, call } from "./api.js";
import { h } from "./element.js";

const loads = new WeakMap();

/** A face's crop. With a key it is fetched, because an <img> cannot send one. */
export function crop(face, alt = "", side = 96) {
  const path = `/v1/faces/${encodeURIComponent(face)}/crop`;
  const img = h("img", { alt, width: side, height: side, decoding: "async", class: "crop", draggable: "false" });
  img.addEventListener("error", () => img.classList.add("blank"));
  if (!apiKey()) {
    img.src = address(path);
    return img;
  }
  const load = new AbortController();
  loads.set(img, load);
  call("GET", path, { signal: load.signal, cache: "default" })
    .then((answer) => answer.blob())
    .then((blob) => {
      const url = URL.createObjectURL(blob);
      // Once it is decoded the picture needs its address no more.
      for (const event of ["load", "error"]) img.addEventListener(event, () => URL.revokeObjectURL(url), { once: true });
      img.src = url;
    })
    .catch(() => img.classList.add("blank"));
  return img;
}

/** Gives up crops under `root` that are still on their way. */
export function release(root) {
  for (const img of root.querySelectorAll("img.crop")) {
    loads.get(img)?.abort();
    if (!img.complete) img.removeAttribute("src");
  }
}
