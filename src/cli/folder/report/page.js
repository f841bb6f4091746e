"use strict";
(() => {
  const people = [...document.querySelectorAll(".person")];
  const all = [...document.querySelectorAll("details")];
  const find = document.getElementById("find");
  const found = document.getElementById("found");
  const toggle = document.getElementById("toggle");
  // A page on which no person is has no tools.
  if (find) {
    document.getElementById("tools").hidden = people.length === 0;

    let texts;
    const textOf = (el) => [el.textContent, ...[...el.querySelectorAll("[title]")].map((a) => a.title)].join(" ").toLowerCase();
    find.addEventListener("input", () => {
      texts ??= people.map(textOf);
      const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      people.forEach((el, i) => {
        el.hidden = !words.every((word) => texts[i].includes(word));
        shown += el.hidden ? 0 : 1;
      });
      found.textContent = words.length ? shown + " of " + people.length + " people shown" : "";
      found.classList.toggle("unseen", words.length === 0);
    });
    toggle.addEventListener("click", () => {
      const open = toggle.getAttribute("aria-pressed") !== "true";
      people.forEach((el) => { if (!el.hidden) el.open = open; });
      toggle.setAttribute("aria-pressed", String(open));
      toggle.textContent = open ? "Close all" : "Open all";
    });
  }
  const reveal = () => {
    const el = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (el && el.tagName === "DETAILS") el.open = true;
  };
  addEventListener("hashchange", reveal);
  reveal();

  let closed = [];
  addEventListener("beforeprint", () => { closed = all.filter((el) => !el.open); closed.forEach((el) => { el.open = true; }); });
  addEventListener("afterprint", () => { closed.forEach((el) => { el.open = false; }); });
})();
