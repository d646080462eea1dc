// The lines between two columns: one for each hit that both show, from its place on the left to that on the right.
// Places are computed from the height of a card, so that nothing is measured while a slider moves.

import { svg } from "./dom.js";

const WIDTH = 80;

export class Lines {
  constructor() {
    this.root = svg("svg", { class: "lines", "aria-hidden": "true", preserveAspectRatio: "none" });
    this.paths = new Map();
  }

  /** Draw the moves between two lists, of which each shows its first `shown` entries. */
  show(left, right, shown) {
    this.paths.clear();
    const rows = Math.min(shown, left.entries.length);
    // A row is 100 units high; the picture is scaled to the column's height.
    this.root.setAttribute("viewBox", `0 0 ${WIDTH} ${rows * 100}`);
    this.root.style.setProperty("--rows", rows);
    const paths = [];
    for (const entry of right.entries.slice(0, shown)) this.add(paths, left.places[entry.position].rank, entry, shown);
    for (const entry of left.entries.slice(0, shown)) {
      const to = right.places[entry.position];
      if (to.rank > shown) this.add(paths, entry.rank, to, shown);
    }
    this.root.replaceChildren(...paths);
  }

  add(paths, from, to, shown) {
    const [start, end] = [middle(Math.min(from, shown + 1)), middle(Math.min(to.rank, shown + 1))];
    const kind = to.rank < from ? "up" : to.rank > from ? "down" : "same";
    const beyond = from > shown || to.rank > shown ? " beyond" : "";
    const half = WIDTH / 2;
    const path = svg("path", {
      class: `${kind}${beyond}`,
      d: `M0 ${start}C${half} ${start} ${half} ${end} ${WIDTH} ${end}`,
    });
    this.paths.set(to.position, path);
    paths.push(path);
  }

  /** Emphasise the line of one hit, or none. */
  emphasise(position) {
    for (const [place, path] of this.paths) path.classList.toggle("chosen", place === position);
  }
}

const middle = (rank) => (rank - 0.5) * 100;
