// Judging in the results: grades by keyboard or by buttons, and nDCG@10 of both columns as they stand.

import { showGrade } from "./columns.js";
import { byId, el, say } from "./dom.js";
import { GRADES, Judgements } from "./judgements.js";
import { judgedAtTop, ndcg } from "./ndcg.js";

const NAMES = ["not relevant", "related", "relevant", "perfect"];

export class Judging {
  constructor(app) {
    this.app = app;
    this.results = app.results;
    this.results.judgingOf = (position) => this.buttons(position);
    this.results.onarranged = () => this.measure();
    byId("results").addEventListener("keydown", (event) => this.press(event));
  }

  /** The judgements of the index that is shown. */
  get own() {
    const { engine, index } = this.results.data ?? this.app.state;
    const place = `${engine}/${index}`;
    if (this.kept?.place !== place) {
      this.kept = new Judgements(place);
      this.kept.name(this.app.queries ?? []);
    }
    return this.kept;
  }

  get query() {
    return this.results.data.query;
  }

  /** Show the grades and the measures of the query that is shown. */
  measure() {
    const { data, sides, columns } = this.results;
    const grades = this.own.grades(this.query);
    for (const [name, column] of Object.entries(columns)) {
      column.cards.forEach((card, position) => showGrade(card, grades.get(data.hits[position].docid)));
      const docids = sides[name].list.entries.map((entry) => data.hits[entry.position].docid);
      const value = ndcg(docids, grades);
      column.measure.textContent =
        value === null ? "" : `nDCG@10 ${value.toFixed(4)} · ${judgedAtTop(docids, grades)} of 10 judged`;
    }
  }

  /** Grade a hit, or take its grade back (null). */
  grade(position, grade) {
    const hit = this.results.data.hits[position];
    if (!this.own.set(this.query, hit, grade)) {
      say("The browser can't store more judgements. Export them under “Queries and runs”.", "error");
    }
    this.measure();
  }

  /** Buttons for one hit, as the panel shows them. */
  buttons(position) {
    const docid = this.results.data.hits[position].docid;
    const made = GRADES.map((grade) =>
      el(
        "button",
        { type: "button", class: "plain", title: NAMES[grade], onclick: () => choose(grade) },
        String(grade),
      ),
    );
    const show = () => {
      const now = this.own.grades(this.query).get(docid);
      made.forEach((button, grade) => button.setAttribute("aria-pressed", String(now === grade)));
    };
    const choose = (grade) => {
      this.grade(position, this.own.grades(this.query).get(docid) === grade ? null : grade);
      show();
    };
    show();
    return el("div", { class: "grades", role: "group", "aria-label": "Grade" }, "Grade", made);
  }

  /** Keys on a hit: 0 to 3 grade it and go on, x takes a grade back, j, k and arrows move, n and p change the query. */
  press(event) {
    const card = event.target.closest(".hit");
    if (!card || event.ctrlKey || event.metaKey || event.altKey) return;
    const position = Number(card.dataset.position);
    const step = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
    if (GRADES.includes(Number(event.key)) && event.key.trim()) {
      this.grade(position, Number(event.key));
      move(card, 1);
    } else if (event.key === "x") this.grade(position, null);
    else if (step) move(card, step);
    else if (event.key === "ArrowLeft" || event.key === "ArrowRight") this.across(position, event.key);
    else if (event.key === "n" || event.key === "p") this.app.files?.step(event.key === "n" ? 1 : -1);
    else return;
    event.preventDefault();
  }

  across(position, key) {
    const column = this.results.columns[key === "ArrowLeft" ? "left" : "right"];
    const button = column.cards[position]?.button;
    if (button?.isConnected) button.focus();
  }
}

function move(card, step) {
  const next = step > 0 ? card.nextElementSibling : card.previousElementSibling;
  next?.querySelector(".hit-title").focus();
}
