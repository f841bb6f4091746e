// A grid of which only the rows in view are elements. Thousands of items cost what a screenful costs.
import { h } from "./element.js";
import { release } from "./crop.js";
import { tell } from "./toast.js";

const AROUND = 600;
const GAP = 12;

/**
 * `page(cursor)` gives `{items, next, total}`, `draw(item, index)` an element, `height(width)` of an item in pixels.
 * Items are placed absolutely, so one that has the focus can stay while the window moves on.
 */
export class Windowed {
  constructor(box, { page, draw, minWidth, height, onTotal = () => {} }) {
    Object.assign(this, { box, page, draw, minWidth, height, onTotal });
    this.items = [];
    this.nodes = new Map();
    this.total = 0;
    this.next = null;
    this.active = 0;
    this.round = 0;
    this.queue = null;
    this.columns = 1;
    box.classList.add("windowed");
    this.frame = null;
    this.onScroll = () => { this.frame ??= requestAnimationFrame(() => { this.frame = null; this.render(); }); };
    addEventListener("scroll", this.onScroll, { passive: true });
    this.observer = new ResizeObserver(() => this.layout());
    this.observer.observe(box);
    box.addEventListener("keydown", (event) => this.key(event));
    box.addEventListener("focusin", (event) => {
      const index = this.indexOf(event.target);
      if (index !== null) this.activate(index);
    });
  }

  close() {
    removeEventListener("scroll", this.onScroll);
    cancelAnimationFrame(this.frame);
    this.observer.disconnect();
    this.round += 1;
    this.clear();
  }

  /** Loads from the start, as far as was in view before; what is shown stays until then. */
  async load(least = 1) {
    const round = this.round += 1;
    const seen = Math.max(least, this.first() === null ? 0 : Math.max(...this.shown()) + 1);
    const items = [];
    let cursor = null;
    let answer;
    do {
      answer = await this.page(cursor);
      if (round !== this.round) return;
      items.push(...answer.items);
      cursor = answer.next;
    } while (cursor && items.length < seen);
    const focused = this.box.contains(document.activeElement);
    Object.assign(this, { items, next: cursor, total: Math.max(answer.total ?? 0, items.length), queue: null });
    this.active = Math.min(this.active, Math.max(0, this.total - 1));
    this.clear();
    this.onTotal(this.total);
    this.layout();
    if (focused && this.total > 0) await this.focus(this.active);
  }

  /** One page more; waits for the one that is on its way. */
  more() {
    const round = this.round;
    this.queue ??= this.page(this.next).then((answer) => {
      if (round !== this.round) return;
      this.items.push(...answer.items);
      this.next = answer.items.length > 0 ? answer.next : null;
      this.total = this.next ? Math.max(answer.total ?? 0, this.items.length + 1) : this.items.length;
      this.onTotal(this.total);
    }).finally(() => { if (round === this.round) this.queue = null; });
    return this.queue;
  }

  async all() {
    const round = this.round;
    while (this.next && round === this.round) await this.more();
    this.layout();
    return this.items;
  }

  shown() { return [...this.nodes.keys()]; }
  first() { return this.nodes.size === 0 ? null : Math.min(...this.nodes.keys()); }

  indexOf(target) {
    const node = target.closest?.("[data-index]");
    return node && this.box.contains(node) ? Number(node.dataset.index) : null;
  }

  layout() {
    const width = this.box.clientWidth;
    if (width === 0) return;
    const rem = Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
    this.columns = Math.max(1, Math.floor((width + GAP) / (this.minWidth * rem + GAP)));
    this.width = (width - GAP * (this.columns - 1)) / this.columns;
    this.tall = this.height(this.width, rem);
    this.row = this.tall + GAP;
    this.box.style.height = `${Math.max(0, Math.ceil(this.total / this.columns) * this.row - GAP)}px`;
    for (const [index, node] of this.nodes) this.place(node, index);
    this.render();
  }

  place(node, index) {
    const column = index % this.columns;
    node.style.width = `${this.width}px`;
    node.style.height = `${this.tall}px`;
    node.style.left = `${column * (this.width + GAP)}px`;
    node.style.top = `${Math.floor(index / this.columns) * this.row}px`;
  }

  render() {
    if (!this.row || !this.box.isConnected) return;
    const above = -this.box.getBoundingClientRect().top;
    const from = Math.max(0, Math.floor((above - AROUND) / this.row)) * this.columns;
    const to = Math.min(this.total, Math.ceil((above + innerHeight + AROUND) / this.row) * this.columns);
    for (const [index, node] of this.nodes) {
      const pinned = node.contains(document.activeElement) || node.querySelector("form");
      const stale = node.dataset.waiting !== undefined && index < this.items.length;
      if (stale || ((index < from || index >= to) && !pinned)) this.drop(index, node);
    }
    for (let index = from; index < to; index += 1) if (!this.nodes.has(index)) this.nodes.set(index, this.make(index));
    // In order, so that reading goes along; nodes that are there already do not move and keep the focus.
    let at = this.box.firstElementChild;
    for (const index of this.shown().sort((a, b) => a - b)) {
      const node = this.nodes.get(index);
      if (node === at) at = at.nextElementSibling;
      else this.box.insertBefore(node, at);
    }
    if (to > this.items.length && this.next && !this.queue) this.more().then(() => this.layout(), tell);
  }

  make(index) {
    const item = this.items[index];
    const node = item === undefined ? h("div", { class: "waiting", "data-waiting": "", "aria-hidden": "true" }) : this.draw(item, index);
    node.dataset.index = index;
    if (item !== undefined) {
      node.setAttribute("aria-setsize", this.total);
      node.setAttribute("aria-posinset", index + 1);
      this.reach(node, index === this.active);
    }
    this.place(node, index);
    return node;
  }

  /** Draws one item again, where it changed in place. */
  redraw(index) {
    const node = this.nodes.get(index);
    if (!node) return;
    const fresh = this.make(index);
    release(node);
    node.replaceWith(fresh);
    this.nodes.set(index, fresh);
  }

  drop(index, node) {
    release(node);
    node.remove();
    this.nodes.delete(index);
  }

  clear() {
    for (const [index, node] of this.nodes) this.drop(index, node);
  }

  /** Only the active item is a stop of the tab key. */
  reach(node, active) {
    const stops = node.matches("[tabindex]") ? [node] : node.querySelectorAll("a, button, input");
    for (const stop of stops) stop.tabIndex = active ? 0 : -1;
  }

  activate(index) {
    const before = this.nodes.get(this.active);
    if (before && index !== this.active) this.reach(before, false);
    this.active = index;
    const node = this.nodes.get(index);
    if (node) this.reach(node, true);
  }

  /** Brings an item into view, loading up to it, and gives it the focus. */
  async focus(index) {
    const to = Math.max(0, Math.min(index, this.total - 1));
    while (this.items.length <= to && this.next) await this.more();
    this.layout();
    this.reveal(to);
    this.render();
    this.enter(to);
  }

  /** Gives the focus to an item that is in view. */
  enter(index) {
    this.activate(index);
    const node = this.nodes.get(index);
    (node?.matches("[tabindex]") ? node : node?.querySelector("a, button"))?.focus({ preventScroll: true });
  }

  reveal(index) {
    const style = getComputedStyle(document.documentElement);
    const above = Number.parseFloat(style.scrollPaddingTop) || 0;
    const below = Number.parseFloat(style.scrollPaddingBottom) || 0;
    const top = this.box.getBoundingClientRect().top + Math.floor(index / this.columns) * this.row;
    if (top < above) scrollBy({ top: top - above, behavior: "instant" });
    else if (top + this.tall > innerHeight - below) scrollBy({ top: top + this.tall - innerHeight + below, behavior: "instant" });
  }

  /** The item that a key leads to from the active one, or null. */
  target(key) {
    const rows = Math.max(1, Math.floor(innerHeight / this.row) - 1);
    const steps = {
      ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.columns, ArrowUp: -this.columns,
      PageDown: rows * this.columns, PageUp: -rows * this.columns,
    };
    if (key === "Home") return 0;
    if (key === "End") return this.total - 1;
    if (!(key in steps)) return null;
    const to = this.active + steps[key];
    if (key.startsWith("Page")) return Math.max(0, Math.min(this.total - 1, to));
    return to < 0 || to >= this.total ? this.active : to;
  }

  key(event) {
    if (event.target.closest("input, form") || event.altKey || event.metaKey || event.ctrlKey) return;
    const to = this.target(event.key);
    if (to === null) return;
    event.preventDefault();
    this.focus(to).catch(tell);
  }
}
