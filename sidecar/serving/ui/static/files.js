// The view of query sets, judgements, runs and shadow logs, and stepping through a query set in the search view.

import { changesOf, change } from "./changes.js";
import { byId, el, save, say } from "./dom.js";
import * as exports from "./exports.js";
import { qrelsIn, queriesIn, runIn, shadowsIn, textOf } from "./readers.js";
import { ndcg } from "./ndcg.js";

const ROWS = 200;

export class Files {
  constructor(app) {
    this.app = app;
    this.at = -1;
    this.runs = {};
    this.message = el("p", { class: "message", role: "status", hidden: true });
    this.set = el("div", {});
    this.changes = el("div", {});
    this.shadows = el("div", {});
    this.judged = el("p", {});
    byId("view-files").replaceChildren(
      this.message,
      card(
        "Query set",
        "Lines of qid<TAB>text, JSON lines, or one query on a line. Then step through it with n and p.",
        picker("Query set", (file) => this.openQueries(file)),
        this.set,
      ),
      card(
        "Judgements",
        "On a hit, 0 to 3 grade it and x takes the grade back. The judgements stay in this browser.",
        this.judged,
        this.buttons(),
      ),
      card(
        "Two runs",
        "TREC runs, such as OUTPUT.first-stage and OUTPUT of sidecar run: the biggest changes first.",
        picker("First run", (file) => this.openRun("first", file)),
        picker("Second run", (file) => this.openRun("second", file)),
        this.changes,
      ),
      card(
        "Shadow log",
        "The file of SIDECAR_SHADOW_FILE: what shadow rules would have changed.",
        picker("Shadow log", (file) => this.openShadows(file)),
        this.shadows,
      ),
    );
  }

  get own() {
    return this.app.judging.own;
  }

  /** Show what may have changed since the view was open. */
  refresh() {
    const index = this.app.state.index || "(none)";
    const { count, queries } = this.own;
    const words = `${count} ${count === 1 ? "judgement" : "judgements"} of ${queries.size}`;
    this.judged.textContent = `${words} ${queries.size === 1 ? "query" : "queries"}, for the index ${index}.`;
  }

  buttons() {
    const button = (words, work) =>
      el("button", { type: "button", class: "plain", onclick: () => this.guarded(work) }, words);
    return el(
      "div",
      { class: "row" },
      picker("Add qrels", (file) => this.openQrels(file)),
      button("Export qrels", () => this.saved("qrels.txt", exports.qrels(this.own))),
      button("Export topics", () => this.saved("topics.tsv", exports.topics(this.own))),
      button("Export training data", () => this.saveTraining()),
      button("Remove all", () => confirm("Remove all judgements of this index?") && (this.own.clear(), this.refresh())),
    );
  }

  say(text, kind = "info") {
    this.message.hidden = !text;
    this.message.className = `message ${kind}`;
    this.message.textContent = text;
  }

  /** Do some work; what is wrong with a file is said. */
  async guarded(work) {
    try {
      this.say("");
      await work();
    } catch (error) {
      this.say(error.message, "error");
    }
  }

  saved(name, text) {
    if (!text) throw new Error("There is nothing to export yet.");
    save(name, text);
  }

  saveTraining() {
    const { text, left } = exports.training(this.own);
    if (!text)
      throw new Error(
        "No query has two judged passages with different grades, and with texts that this page has seen.",
      );
    save("training.jsonl", text, "application/jsonl");
    if (left.length)
      this.say(
        `${left.length} queries are left out: a query needs two grades, and texts that this page has seen.`,
        "warning",
      );
  }

  openQueries(file) {
    return this.guarded(async () => {
      this.app.queries = queriesIn(await textOf(file), file.name);
      this.own.name(this.app.queries);
      this.at = -1;
      const rows = this.app.queries.map(({ qid, query }, i) => [
        qid,
        this.link(query, () => this.go(i)),
        String(this.own.grades(query).size),
      ]);
      this.set.replaceChildren(table(["qid", "query", "judged"], rows));
      this.showChanges();
      this.refresh();
    });
  }

  openQrels(file) {
    return this.guarded(async () => {
      const unknown = this.own.add(qrelsIn(await textOf(file), file.name));
      this.refresh();
      if (unknown)
        this.say(
          `${unknown} judgements are of queries that are not in the query set. Open the query set first.`,
          "warning",
        );
    });
  }

  openRun(name, file) {
    return this.guarded(async () => {
      this.runs[name] = runIn(await textOf(file), file.name);
      this.showChanges();
    });
  }

  showChanges() {
    const { first, second } = this.runs;
    if (!first || !second) return;
    const { found, missing } = changesOf(first, second);
    const texts = new Map((this.app.queries ?? []).map(({ qid, query }) => [qid, query]));
    const rows = found.map(({ qid, kept, largest }) => {
      const grades = this.own.grades(texts.get(qid) ?? "");
      const values = [first, second].map((run) => ndcg(run.get(qid), grades));
      const measured = values[0] === null ? "–" : `${values[0].toFixed(3)} → ${values[1].toFixed(3)}`;
      return [this.queryCell(qid, texts.get(qid)), `${Math.round(kept * 100)}%`, moveWords(largest), measured];
    });
    this.changes.replaceChildren(
      missing ? el("p", { class: "message warning" }, `${missing} queries are in one run alone.`) : "",
      table(["query", "kept in the first ten", "largest move", "nDCG@10"], rows),
    );
  }

  openShadows(file) {
    return this.guarded(async () => {
      const { records, others } = shadowsIn(await textOf(file), file.name);
      const found = records.map((record) => ({ record, ...change(record.first_stage, record.reranked) }));
      found.sort((a, b) => a.kept - b.kept || b.size - a.size);
      const rows = found.map(({ record, kept }) => {
        const move = record.moves?.[0];
        const words = move ? moveWords({ docid: move.docid, from: move.first_stage_rank, to: move.rank }) : "none";
        return [
          this.queryCell(record.qid, record.query, record.index),
          record.index,
          `${Math.round(kept * 100)}%`,
          words,
        ];
      });
      this.shadows.replaceChildren(
        el("p", { class: "meta" }, `${records.length} records, and ${others} that were not reranked.`),
        table(["query", "index", "kept in the first ten", "largest move"], rows),
      );
    });
  }

  queryCell(qid, query, index) {
    return query ? this.link(query, () => this.search(query, index)) : qid;
  }

  link(text, work) {
    return el("button", { type: "button", class: "link", dir: "auto", onclick: work }, text);
  }

  search(query, index) {
    const { state, controls } = this.app;
    if (index && !index.includes("*")) controls.index.set(index);
    byId("query").value = state.query = query;
    this.app.show("search");
    this.app.search();
  }

  /** Search for a query of the set, and show where it is. */
  go(i) {
    const queries = this.app.queries ?? [];
    if (!queries[i]) return;
    this.at = i;
    const step = (words, by) =>
      el("button", { type: "button", class: "plain", disabled: !queries[i + by], onclick: () => this.step(by) }, words);
    byId("walk").hidden = false;
    byId("walk").replaceChildren(
      step("Previous", -1),
      step("Next", 1),
      el("span", {}, `${i + 1} of ${queries.length} · ${queries[i].qid}`),
    );
    this.search(queries[i].query);
  }

  step(by) {
    if (this.at >= 0) this.go(this.at + by);
    else say("Open a query set under “Queries and runs” to step through it.");
  }
}

function moveWords(move) {
  return move ? `${move.docid}: ${move.from ?? "not found"} → ${move.to}` : "none";
}

function card(title, words, ...children) {
  return el("section", { class: "card" }, el("h2", {}, title), el("p", { class: "meta" }, words), ...children);
}

function picker(words, open) {
  const field = el("input", { type: "file", onchange: () => field.files[0] && open(field.files[0]) });
  return el("label", { class: "picker" }, words, " ", field);
}

/** A table of the first rows, with a note if there are more. */
function table(heads, rows) {
  const note = rows.length > ROWS ? el("p", { class: "meta" }, `The first ${ROWS} of ${rows.length}.`) : "";
  return el(
    "div",
    { class: "scroll", tabIndex: 0, role: "region", "aria-label": heads.join(", ") },
    el(
      "table",
      {},
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          heads.map((head) => el("th", { scope: "col" }, head)),
        ),
      ),
      el(
        "tbody",
        {},
        rows.slice(0, ROWS).map((row) =>
          el(
            "tr",
            {},
            row.map((cell) => el("td", {}, cell)),
          ),
        ),
      ),
    ),
    note,
  );
}
