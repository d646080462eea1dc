// The results of a search: two lists, the moves between them, and the panel about one hit.

import { Column } from "./columns.js";
import { FIRST_STAGE, fusionOf } from "./controls.js";
import { byId, el, say } from "./dom.js";
import { closeExplanation, openExplanation } from "./explain.js";
import { obstacle } from "./fusion.js";
import { Lines } from "./lines.js";
import { agrees, firstStage, inStageTwo, reranked, scoresOf } from "./ranking.js";
import { summary } from "./summary.js";

export class Results {
  constructor(app) {
    this.app = app;
    this.data = null;
    const open = (position, button) => this.explain(position, button);
    this.columns = { left: new Column("left", open), right: new Column("right", open) };
    this.lines = new Lines();
    byId("results").replaceChildren(this.columns.left.root, this.lines.root, this.columns.right.root);
    this.follow();
    for (const name of ["left", "right"]) byId(`show-${name}`).addEventListener("click", () => this.showColumn(name));
    // On a phone the results come first.
    byId("tuning").open = matchMedia("(min-width: 701px)").matches;
  }

  /** On a narrow screen, show one of the columns. */
  showColumn(chosen) {
    for (const name of ["left", "right"]) {
      byId(`show-${name}`).setAttribute("aria-pressed", String(name === chosen));
      byId("results").classList.toggle(`show-${name}`, name === chosen);
    }
  }

  /** Show the answer of a search that began at `started`; `names` are those of its rankings. */
  take(data, names, started) {
    this.data = data;
    this.scores = new Map(
      data.rankings.map((ranking, i) => [names[i], { ranking, ...scoresOf(ranking, data.hits.length) }]),
    );
    byId("empty").hidden = true;
    byId("workbench").hidden = false;
    for (const column of Object.values(this.columns)) column.fill(data.hits, data.query);
    this.lines.clear();
    this.arrange();
    byId("summary").replaceChildren(summary(data, (performance.now() - started) / 1000));
    this.ontaken?.();
    if (!data.hits.length) say("No hits.", "info");
    this.close(false);
    performance.measure("search", { start: started });
  }

  clear() {
    this.data = null;
    byId("workbench").hidden = true;
    this.close(false);
  }

  /** True if every chosen ranking is here. */
  hasScores() {
    return this.data !== null && [...this.app.rankings().keys()].every((one) => this.scores.has(one));
  }

  /** True if the spans that are to be shown are here, or none are. */
  hasSpans() {
    if (!this.app.state.spans || !this.data) return true;
    return this.data.rankings.every((ranking) => !ranking.hits.length || ranking.without_spans !== undefined);
  }

  /** A function from a hit's place to the spans to show of it on a side, null for none. */
  spansOf({ own }) {
    const wanted = this.app.state.spans;
    return (position) => (wanted && own?.details[position]?.spans) || null;
  }

  /** Compute both lists from the scores that are here, and show them. */
  arrange() {
    if (!this.data || !this.hasScores()) return;
    const started = performance.now();
    const { state, offered, controls } = this.app;
    const why = ["left", "right"]
      .map((name) => state[name].model && obstacle(fusionOf(state[name], offered)))
      .find(Boolean);
    say(why || "", "error");
    if (why) return;
    this.sides = { left: this.side("left"), right: this.side("right") };
    const { left, right } = this.sides;
    const shown = Math.min(state.shown, this.data.hits.length);
    this.columns.left.show(left.list, right.list, shown, this.spansOf(left));
    this.columns.right.show(right.list, left.list, shown, this.spansOf(right));
    this.lines.show(left.list, right.list, shown);
    for (const [name, side] of Object.entries(this.sides)) {
      this.columns[name].heading.textContent = side.label;
      this.columns[name].note.textContent = side.note;
      byId(`show-${name}`).textContent = side.label;
    }
    controls.refresh({ left: left.list.share, right: right.list.share }, this.data.hits.length);
    this.onarranged?.();
    performance.measure("reorder", { start: started });
  }

  side(name) {
    const { state, offered } = this.app;
    const { hits, engine } = this.data;
    const chosen = state[name];
    if (chosen.model === FIRST_STAGE) {
      return {
        list: firstStage(hits),
        label: `First stage · ${engine === "lucene" ? "Lucene" : "OpenSearch"}`,
        note: engine === "lucene" ? "BM25's order" : "the engine's own order",
        fusion: null,
      };
    }
    const own = this.scores.get(this.app.rankingOf(name));
    const fusion = fusionOf(chosen, offered);
    if (!own.ranking.hits.length) {
      return {
        list: firstStage(hits),
        label: chosen.model,
        note: `not reranked: ${own.ranking.words}`,
        fusion: null,
        own,
      };
    }
    const window = Math.min(state.cut ?? hits.length, hits.length);
    const list = reranked(hits, own.scores, fusion, window);
    const untouched = !chosen.method && window === hits.length && own.ranking.hits.length === hits.length;
    const agreed = agrees(list, own.ranking);
    if (untouched && !agreed) {
      say("This page's order differs from the service's own. Please report it.", "warning");
    }
    const label = `Reranked · ${chosen.model}`;
    const note = noteOf(fusion, window, hits.length) + stageTwoNote(own.ranking, agreed, offered);
    const second = own.ranking.stage === 2 && agreed;
    return { list: second ? inStageTwo(list, own.ranking) : list, label, note, fusion, own };
  }

  /** Emphasise the move of the hit that the pointer or the focus is on. */
  follow() {
    const chosen = (event) => event.target.closest?.(".hit");
    const emphasise = (hit) => {
      const position = hit ? Number(hit.dataset.position) : -1;
      this.lines.emphasise(position);
      for (const column of Object.values(this.columns)) {
        column.cards.forEach((card, i) => card.root.classList.toggle("chosen", i === position));
      }
    };
    for (const kind of ["pointerover", "focusin"])
      byId("results").addEventListener(kind, (event) => emphasise(chosen(event)));
    byId("results").addEventListener("pointerleave", () => emphasise(document.activeElement?.closest?.(".hit")));
    addEventListener("keydown", (event) => event.key === "Escape" && this.close());
  }

  explain(position, button) {
    const hit = this.data.hits[position];
    this.opener = button;
    this.opened = position;
    const sides = Object.values(this.sides).map(({ list, label, fusion, own }) => ({
      label,
      spans: this.spansOf({ own })(position),
      fusion,
      hit,
      entry: list.places[position],
      share: list.share,
      detail: own?.details[position],
      calibrated: own?.ranking.calibrated,
    }));
    const judging = this.judgingOf?.(position) ?? el("span", {});
    openExplanation({ hit, sides, query: this.data.query, judging, onclose: () => this.close() });
  }

  close(focus = true) {
    closeExplanation();
    if (focus && this.opener?.isConnected) this.opener.focus();
    this.opener = null;
  }
}

/** Say whether a generator made the order of the first hits; "" if none was asked. */
function stageTwoNote({ stage, stage_two: found, words }, agreed, { generator }) {
  if (!stage) return "";
  if (stage === 1) return ` · stage two is not applied: ${words}`;
  if (!agreed) return " · stage two read another order: search again";
  const kept = found.unreadable ? `, ${found.unreadable} of ${found.windows} windows unread` : "";
  return ` · then the first ${found.depth} by ${generator.name}${kept}`;
}

function noteOf(fusion, window, count) {
  const name = fusion.method === "rerank" ? "the model's order" : `${fusion.method} fusion`;
  return window < count ? `${name}, first ${window} of ${count}` : name;
}
