// The panel about one hit: where it stood, what the model said, and how the two scores became one.

import { byId, el, number } from "./dom.js";
import { markedSpans, markedText, unitsOf, wordsOf } from "./highlight.js";

/** Open the panel; `hit` is the hit, `sides` the two lists with what is known of the hit in each. */
export function openExplanation({ hit, sides, query, judging, onclose }) {
  const panel = byId("explain");
  const title = el("h2", { id: "explain-title", tabIndex: -1, dir: "auto" }, hit.title || hit.docid);
  panel.replaceChildren(
    el(
      "div",
      { class: "explain-head" },
      title,
      el("button", { type: "button", class: "close", "aria-label": "Close", onclick: onclose }, "×"),
    ),
    el("p", { class: "meta" }, hit.index ? `${hit.docid} · ${hit.index}` : hit.docid),
    judging,
    ...sides.filter((side) => side.entry).map((side) => sideOf(side)),
    passageOf(hit, sides, query),
  );
  panel.hidden = false;
  document.body.classList.add("explaining");
  title.focus({ preventScroll: true });
}

export function closeExplanation() {
  byId("explain").hidden = true;
  document.body.classList.remove("explaining");
}

function sideOf({ label, entry, detail, fusion, share, hit, calibrated }) {
  const rows = [
    ["Place", `${entry.rank}`],
    ["First stage", `${number(hit.score)}, place ${hit.rank}`],
  ];
  const { before = entry } = entry;
  if (fusion) rows.push(...modelRows(before, detail, calibrated), ...fusionRows(before, fusion, share, hit, detail));
  if (entry.before) {
    rows.push(["Stage two", `from place ${before.rank} to ${entry.rank}, whose score is ${number(entry.score, 4)}`]);
  }
  return el("section", {}, el("h3", {}, label), facts(rows));
}

function modelRows(entry, detail, calibrated) {
  if (!detail || detail.rerank_score === null) return [["Model", "not scored"]];
  const rows = [["Model's raw score", number(detail.rerank_score, 4)]];
  const name = calibrated ? "Probability of relevance" : "Scaled to 0–1 (no probability)";
  rows.push([name, number(detail.relevance)]);
  rows.push([
    "Read by the model",
    detail.truncated ? "only the beginning: the passage is too long" : "the whole passage",
  ]);
  if (detail.chunk) {
    const { index, count, start, end } = detail.chunk;
    rows.push(["Best chunk", `${index + 1} of ${count}: characters ${start} to ${end}`]);
  }
  return rows;
}

function fusionRows(entry, fusion, share, hit, detail) {
  if (entry.score === null) return [["Fused score", "none: it follows the scored hits"]];
  if (!entry.row) return [["Fused score", `${number(entry.score, 4)}, the model's alone`]];
  const [first, model] = entry.row;
  const name =
    fusion.method === "rrf"
      ? `reciprocal rank fusion, k ${fusion.rank_constant}`
      : `${fusion.method}, ${fusion.normalization}`;
  const rows = [["Fusion", share === null ? name : `${name}, weight ${number(share)}`]];
  rows.push(["First stage, normalised", number(first, 4)], ["Model, normalised", number(model, 4)]);
  const weighted = ["linear", "adaptive"].includes(fusion.method) && share !== null;
  const part = (weight, value) => `${number(weight)} × ${number(value, 4)}`;
  const sum = `${part(share, model)} + ${part(1 - share, first)} = ${number(entry.score, 4)}`;
  rows.push(["Fused score", weighted ? sum : number(entry.score, 5)]);
  return rows;
}

function facts(rows) {
  return el(
    "dl",
    { class: "facts" },
    rows.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]),
  );
}

function passageOf(hit, sides, query) {
  const words = wordsOf(query);
  const chunk = sides.map((side) => side.detail?.chunk).find(Boolean);
  const spans = sides.map((side) => side.spans).find((found) => found?.length);
  const fields = hit.fields.length ? `Fields read: ${hit.fields.join(", ")}` : "No field with text was read";
  const marked = (from, to) => markedText(hit.text.slice(from, to), words);
  const end = hit.text.length;
  let parts = marked(0, end);
  if (spans) parts = markedSpans(hit.text, spans, words);
  else if (chunk) {
    const [from, to] = [chunk.start, chunk.end].map(unitsOf(hit.text));
    parts = [marked(0, from), el("span", { class: "chunk" }, marked(from, to)), marked(to, end)];
  }
  return el(
    "section",
    {},
    el("h3", {}, "Passage"),
    el("p", { class: "meta" }, fields),
    el("p", { class: "whole", dir: "auto", tabIndex: 0 }, parts),
  );
}
