// Two columns of hits. The cards of a column are made once for a search; a new order only moves them.

import { el, number } from "./dom.js";
import { excerpt, markedFragment, markedText, wordsOf } from "./highlight.js";

const EXCERPT = 240;

/** A column: `show` puts its cards in an order. `open(position, card)` is called when a card is chosen. */
export class Column {
  constructor(name, open) {
    this.cards = [];
    this.heading = el("h2", { class: "column-title" });
    this.note = el("p", { class: "column-note" });
    this.measure = el("p", { class: "measure" });
    this.list = el("ol", { class: "hits" });
    this.root = el("section", { class: `column ${name}` }, this.heading, this.note, this.measure, this.list);
    this.open = open;
  }

  /** Make the cards for the hits of a search. */
  fill(hits, query) {
    const words = wordsOf(query);
    this.cards = hits.map((hit, position) => this.card(hit, position, words));
    this.list.replaceChildren();
  }

  /** Put the first `shown` entries of a list in order; moves are relative to the `other` list. */
  show(list, other, shown) {
    const cards = list.entries.slice(0, shown).map((entry) => {
      const card = this.cards[entry.position];
      card.rank.textContent = entry.rank;
      card.score.textContent = number(entry.score);
      showMove(card, other.places[entry.position].rank - entry.rank);
      return card.root;
    });
    this.list.replaceChildren(...cards);
  }

  card(hit, position, words) {
    const rank = el("span", { class: "rank" });
    const score = el("span", { class: "score", title: "score in this list" });
    const move = el("span", { class: "move" });
    const grade = el("span", { class: "grade", hidden: true });
    const name = hit.title || hit.docid || "(no title)";
    const button = el("button", { type: "button", class: "hit-title", dir: "auto" }, markedText(name, words));
    const root = el(
      "li",
      { class: "hit", "data-position": position },
      rank,
      el(
        "div",
        { class: "hit-main" },
        el("h3", {}, button),
        el("p", { class: "passage", dir: "auto" }, passageOf(hit, words)),
        el("p", { class: "meta" }, el("span", { class: "docid" }, hit.docid), score, move, grade),
      ),
    );
    root.addEventListener("click", () => {
      if (!getSelection()?.toString()) this.open(position, button);
    });
    return { root, rank, score, move, grade, button };
  }
}

function passageOf(hit, words) {
  const fragments = Object.entries(hit.highlight ?? {}).find(([field]) => !/title/i.test(field))?.[1];
  if (fragments?.length) return fragments.flatMap((one, i) => [i ? " … " : "", ...markedFragment(one)]);
  return hit.text ? markedText(excerpt(hit.text, words, EXCERPT), words) : "(no text)";
}

function showMove(card, places) {
  const kind = places > 0 ? "up" : places < 0 ? "down" : "same";
  card.root.dataset.move = kind;
  card.move.className = `move ${kind}`;
  const arrow = { up: "▲", down: "▼", same: "=" }[kind];
  const words = { up: `up ${places}`, down: `down ${-places}`, same: "same place" }[kind];
  card.move.replaceChildren(
    el("span", { "aria-hidden": "true" }, kind === "same" ? arrow : `${arrow} ${Math.abs(places)}`),
    el("span", { class: "sr" }, words),
  );
}

export function showGrade(card, grade) {
  card.grade.hidden = grade === undefined;
  card.grade.textContent = grade === undefined ? "" : `grade ${grade}`;
  card.root.dataset.grade = grade ?? "";
}
