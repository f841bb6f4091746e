// Changes of people: each is told in the server's words, and can be taken back at once.
import { post } from "./api.js";
import { say } from "./element.js";
import { tell, toast } from "./toast.js";

export const CHANGED = "muster:changed";
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

/** A Change, or null where it was refused. `also(change)` may offer one more action. */
export async function change(work, also = () => null) {
  const done = await busy(work);
  if (!done) return null;
  const back = done.change ? { label: "Undo", run: () => undo(done.change) } : null;
  const actions = [back, also(done)].filter(Boolean);
  toast(done.text || "Done.", { actions, instead: true });
  announce(done);
  return done;
}

/** Takes back the change with a number, or the last one. */
export async function undo(number = null) {
  const which = number ? `?change=${number}` : "";
  const done = await busy(post(`/v1/undo${which}`).catch((problem) => {
    if (!["NOTHING_TO_UNDO", "CANNOT_UNDO", "OVERTAKEN"].includes(problem.code)) throw problem;
    const nothing = problem.code === "NOTHING_TO_UNDO";
    toast(nothing ? "There is nothing to take back." : problem.detail || problem.message, { instead: true });
    return null;
  }));
  if (!done) return;
  toast(done.text || "Taken back.", { instead: true });
  announce(done);
}
