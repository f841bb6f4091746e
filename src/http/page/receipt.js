// Forgetting, and the receipt of it.
import { remove } from "./api.js";
import { announce, busy } from "./change.js";
import { openDialog } from "./dialog.js";
import { button, h, outside } from "./element.js";
import { bytes, count, digits } from "./words.js";

function save(receipt) {
  const url = URL.createObjectURL(new Blob([JSON.stringify(receipt, null, 2)], { type: "application/json" }));
  h("a", { href: url, download: "muster-receipt.json" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

const line = (what, value) => [h("dt", null, what), h("dd", null, value)];

/** What a library's receipt says beyond a fleet's. */
function ofLibrary(receipt) {
  return [
    line("Vectors", `${digits(receipt.vectors)} (${bytes(receipt.vector_bytes)})`),
    line("Crops", `${digits(receipt.crops)} (${bytes(receipt.crop_bytes)})`),
    line("Library", `${bytes(receipt.bytes_before)}, now ${bytes(receipt.bytes_after)}`),
    receipt.files.length > 0 && line("Files deleted", outside(receipt.files.join(", "))),
  ];
}

/** And a fleet's beyond a library's. */
function ofFleet(receipt) {
  return [
    line("Crops and results in S3", `${digits(receipt.crops)} and ${digits(receipt.results)}`),
    line("Objects rewritten without them, deleted", `${digits(receipt.packs_rewritten)}, ${digits(receipt.packs_deleted)}`),
    line("What was said of them", count(receipt.decisions, "decision")),
    line("Cache", { none: "there is none", emptied: "holds nothing of it", away: "did not answer: it holds what it holds until its time is over" }[receipt.cache]),
  ];
}

const LEFT = {
  rewritten: "Something else was reading the library: deleted rows are overwritten, but copies may be left in its journal until something is forgotten again.",
  awaited: "A worker was about to write something of it: it deletes that itself. Where it died first, that is deleted after a day, by the next worker that groups or the next forgetting.",
  versions: "A bucket keeps versions: the old ones stay until its lifecycle removes them.",
};

/** Ids, and rows by the tables of a library. */
function details({ groups, recomputed, rows = {} }) {
  const ids = (what, list) => list.length > 0 && line(what, h("code", null, list.join(", ")));
  return h("details", { class: "details" }, h("summary", null, "Details"),
    h("dl", { class: "receipt" }, ids("People that ended", groups), ids("People computed anew", recomputed),
      Object.entries(rows).map(([table, n]) => line(`Rows of ${table}`, digits(n)))));
}

function told(receipt) {
  const here = "rewritten" in receipt;
  const left = here
    ? !receipt.rewritten && LEFT.rewritten
    : (receipt.packs_awaited > 0 && LEFT.awaited) || (receipt.versions_stay && LEFT.versions);
  return h("div", { class: "stack" },
    left && h("p", { class: "warning" }, left),
    h("dl", { class: "receipt", "data-testid": "receipt" },
      line("Forgotten", outside(receipt.target)),
      line("Photos touched", digits(receipt.images)),
      line("Faces", digits(receipt.faces)),
      line("People that ended", digits(receipt.groups.length)),
      line("People computed anew", digits(receipt.recomputed.length)),
      line("Kept so that they do not come back", `${count(receipt.tombstones, "mark")}, without a face`),
      here ? ofLibrary(receipt) : ofFleet(receipt)),
    details(receipt));
}

/** Asks, deletes, shows the receipt and leaves the view of what is gone; false where nothing was deleted. */
export async function forget(path, { title, text, accept, leave }) {
  const sure = await openDialog({
    title, testid: "forget-dialog",
    body: h("div", { class: "stack" }, text.map((part) => h("p", null, part))),
    actions: [{ label: accept, kind: "danger", value: true, testid: "forget" }],
  });
  if (!sure) return false;
  const receipt = await busy(remove(path));
  if (!receipt) return false;
  await openDialog({
    title: "Forgotten: the receipt", testid: "receipt-dialog", cancel: "Close",
    body: () => h("div", { class: "stack" }, told(receipt), button("Save the receipt", () => save(receipt), { "data-testid": "receipt-save" })),
  });
  leave();
  announce(receipt);
  return true;
}
