// The lines between two columns: one for each hit that both show, from its place on the left to that on the right.
// Places are computed from the height of a card, so that nothing is measured while a slider moves.

import { svg } from "./dom.js";

const WIDTH = 80;

export class Lines {
  constructor() {
    this.root = svg("svg", { class: "lines", "aria-hidden": "true", preserveAspectRatio: "none" });
    this.paths = new Map();
  }

  /** Remove all lines, for the hits of another search. */
  clear() {
    this.paths.clear();
    this.root.replaceChildren();
  }

  /** Draw the moves between two lists, of which each shows its first `shown` entries. */
  show(left, right, shown) {
    // A row is 100 units high; the picture is scaled to the column's height.
    const box = `0 0 ${WIDTH} ${Math.min(shown, left.entries.length) * 100}`;
    if (this.root.getAttribute("viewBox") !== box) this.root.setAttribute("viewBox", box);
    this.root.style.setProperty("--rows", Math.min(shown, left.entries.length));
    const drawn = new Set();
    const draw = (entry) => {
      drawn.add(entry.position);
      this.draw(entry.position, left.places[entry.position].rank, right.places[entry.position].rank, shown);
    };
    right.entries.slice(0, shown).forEach(draw);
    left.entries
      .slice(0, shown)
      .filter((entry) => right.places[entry.position].rank > shown)
      .forEach(draw);
    for (const [position, path] of this.paths) {
      if (drawn.has(position)) continue;
      path.remove();
      this.paths.delete(position);
    }
  }

  draw(position, from, to, shown) {
    const [start, end] = [from, to].map((rank) => (Math.min(rank, shown + 1) - 0.5) * 100);
    const kind = to < from ? "up" : to > from ? "down" : "same";
    const line = `M0 ${start}C${WIDTH / 2} ${start} ${WIDTH / 2} ${end} ${WIDTH} ${end}`;
    const name = kind + (from > shown || to > shown ? " beyond" : "");
    let path = this.paths.get(position);
    if (!path) {
      path = svg("path");
      this.paths.set(position, path);
      this.root.append(path);
    }
    if (path.getAttribute("d") !== line) path.setAttribute("d", line);
    if (path.getAttribute("class") !== name) path.setAttribute("class", name);
  }

  /** Emphasise the line of one hit, or none. */
  emphasise(position) {
    for (const [place, path] of this.paths) path.classList.toggle("chosen", place === position);
  }
}
