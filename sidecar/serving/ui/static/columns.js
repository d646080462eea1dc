// Two columns of hits. A card is made when it is first shown; a new order only moves it.

import { el, number } from "./dom.js";
import { excerpt, markedFragment, markedText, spansIn, wordsOf } from "./highlight.js";

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

  /** Take the hits of a search. */
  fill(hits, query) {
    this.hits = hits;
    this.words = wordsOf(query);
    this.cards = [];
    this.list.replaceChildren();
  }

  /**
   * Put the first `shown` entries of a list in order; moves are relative to the `other` list. `spansOf(position)` are
   * the spans to show in place of a hit's passage, null to show the passage.
   */
  show(list, other, shown, spansOf) {
    let place = this.list.firstChild;
    for (const entry of list.entries.slice(0, shown)) {
      const { position, rank, score } = entry;
      const card = (this.cards[position] ??= this.card(this.hits[position], position, this.words));
      write(card.rank, String(rank));
      write(card.score, number(score));
      showStageTwo(card, entry);
      showMove(card, other.places[position].rank - rank);
      showPassage(card, this.hits[position], this.words, spansOf(position));
      // Only what is out of place is moved, for a move makes the browser lay the column out again.
      if (place === card.root) place = place.nextSibling;
      else this.list.insertBefore(card.root, place);
    }
    while (place) {
      const next = place.nextSibling;
      place.remove();
      place = next;
    }
  }

  card(hit, position, words) {
    const rank = el("span", { class: "rank" });
    const score = el("span", { class: "score", title: "score in this list" });
    const arrow = el("span", { "aria-hidden": "true" });
    const spoken = el("span", { class: "sr" });
    const move = el("span", { class: "move" }, arrow, spoken);
    const grade = el("span", { class: "grade", hidden: true });
    const second = el("span", { class: "stage-two", hidden: true });
    const name = hit.title || hit.docid || "(no title)";
    const passage = el("p", { class: "passage", dir: "auto" });
    const button = el("button", { type: "button", class: "hit-title", dir: "auto" }, markedText(name, words));
    const root = el(
      "li",
      { class: "hit", "data-position": position },
      rank,
      el(
        "div",
        { class: "hit-main" },
        el("h3", {}, button),
        passage,
        el("p", { class: "meta" }, el("span", { class: "docid" }, hit.docid), score, move, second, grade),
      ),
    );
    root.addEventListener("click", () => {
      if (!getSelection()?.toString()) this.open(position, button);
    });
    return { root, rank, score, move, arrow, words: spoken, second, grade, button, passage };
  }
}

/** Show a hit's passage, or its spans, best first, because a card has room for two lines. */
function showPassage(card, hit, words, spans) {
  if (card.spans === spans) return;
  card.spans = spans;
  const marked = spans?.length ? spansIn(hit.text, spans).flatMap((one, i) => [i ? " … " : "", one]) : null;
  card.passage.replaceChildren(...(marked ?? [passageOf(hit, words)].flat()));
}

function passageOf(hit, words) {
  const fragments = Object.entries(hit.highlight ?? {}).find(([field]) => !/title/i.test(field))?.[1];
  if (fragments?.length) return fragments.flatMap((one, i) => [i ? " … " : "", ...markedFragment(one)]);
  return hit.text ? markedText(excerpt(hit.text, words, EXCERPT), words) : "(no text)";
}

function showMove(card, places) {
  if (card.places === places) return;
  card.places = places;
  const kind = places > 0 ? "up" : places < 0 ? "down" : "same";
  const arrow = { up: "▲", down: "▼", same: "=" }[kind];
  const words = { up: `up ${places}`, down: `down ${-places}`, same: "same place" }[kind];
  card.move.className = `move ${kind}`;
  card.arrow.textContent = kind === "same" ? arrow : `${arrow} ${Math.abs(places)}`;
  card.words.textContent = words;
}

/** Say how stage two moved a hit. */
function showStageTwo(card, { before, rank }) {
  const places = before ? before.rank - rank : 0;
  card.second.hidden = !places;
  write(card.second, places ? `stage two: ${places > 0 ? "up" : "down"} ${Math.abs(places)}` : "");
}

export function showGrade(card, grade) {
  if (card.shownGrade === grade) return;
  card.shownGrade = grade;
  card.grade.hidden = grade === undefined;
  card.grade.textContent = grade === undefined ? "" : `grade ${grade}`;
}

/** Write a text, unless it is there already. */
function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
