// Changes of people: each is told in sentences, and can be taken back at once.
import { get, post } from "./api.js";
import { say } from "./element.js";
import { sentences, untold } from "./sentences.js";
import { tell, toast } from "./toast.js";

export const CHANGED = "muster:changed";
const MOST_NAMES = 20;
const REFUSED = {
  NOTHING_TO_UNDO: "There is nothing to take back.",
  CANNOT_UNDO: "This was taken back or forgotten already.",
  OVERTAKEN: "A later change is about the same face or person. Take that one back first: the history lists it.",
};
let running = 0;

/** Waits for `work` with the page marked as busy; an error is told and gives null. */
export async function busy(work) {
  running += 1;
  const slow = setTimeout(() => {
    document.documentElement.dataset.busy = "";
    say("Working on it.");
  }, 400);
  try {
    return await work;
  } catch (error) {
    tell(error);
    return null;
  } finally {
    clearTimeout(slow);
    running -= 1;
    if (running === 0) delete document.documentElement.dataset.busy;
  }
}

/** Views draw themselves anew after this. */
export function announce(change) {
  document.dispatchEvent(new CustomEvent(CHANGED, { detail: change }));
}

/** Names of people that a change moved faces to or from, and does not tell of. */
async function lookUp(change) {
  const names = new Map();
  await Promise.all(untold(change).slice(0, MOST_NAMES).map(async (id) => {
    const person = await get(`/v1/people/${encodeURIComponent(id)}`).catch(() => null);
    if (person) names.set(id, person.name);
  }));
  return names;
}

/** Tells what changed, in sentences, with what takes it back under that label. `also(change)` may offer one more action. */
export async function tellChange(done, also = () => null, label = "Undo") {
  const back = done.change ? { label, run: () => undo(done.change, label === "Undo" ? "Redo" : "Undo") } : null;
  const lines = sentences(done, await lookUp(done));
  toast(lines, { actions: [back, also(done)].filter(Boolean), instead: true });
  announce(done);
}

/** A Change, or null where it was refused. */
export async function change(work, also) {
  const done = await busy(work);
  if (done) await tellChange(done, also);
  return done;
}

/** Takes back the change with a number; null where it was refused. `label` is for taking that back in turn. */
export async function undo(number, label = "Redo") {
  const done = await busy(post(`/v1/undo?change=${number}`).catch((problem) => {
    if (!["NOTHING_TO_UNDO", "CANNOT_UNDO", "OVERTAKEN"].includes(problem.code)) throw problem;
    toast(REFUSED[problem.code], { instead: true });
    return null;
  }));
  if (done) await tellChange(done, undefined, label);
  return done;
}
