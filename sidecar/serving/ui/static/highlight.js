// Marked text. A fragment is split at its tags, or at the words of the query; all parts become text nodes.

import { el } from "./dom.js";

const WORD = /[\p{L}\p{N}]+/gu;
const PLAIN = new Set(
  (
    "a an and are as at be by do does for from how i in is it of on or that the to was what when where which who " +
    "why with"
  ).split(" "),
);

/** Nodes of a fragment in which the search engine marked words by <em> and </em>. */
export function markedFragment(fragment) {
  return fragment.split(/<\/?em>/).map((part, i) => (i % 2 ? el("mark", {}, part) : part));
}

/** The words of a query that are worth a mark, in lower case. */
export function wordsOf(query) {
  const words = (query.toLowerCase().match(WORD) ?? []).filter((word) => !PLAIN.has(word));
  return new Set(words);
}

/** Nodes of a text in which the words of a query are marked. */
export function markedText(text, words) {
  const nodes = [];
  let end = 0;
  for (const found of text.matchAll(WORD)) {
    if (!words.has(found[0].toLowerCase())) continue;
    nodes.push(text.slice(end, found.index), el("mark", {}, found[0]));
    end = found.index + found[0].length;
  }
  nodes.push(text.slice(end));
  return nodes;
}

/** Elements with the spans of a text, in the order given. */
export function spansIn(text, spans) {
  const at = unitsOf(text);
  return spans.map(({ start, end }) => el("mark", { class: "span" }, text.slice(at(start), at(end))));
}

/** Nodes of a whole text in which its spans are marked, and the words of a query everywhere. */
export function markedSpans(text, spans, words) {
  const at = unitsOf(text);
  const nodes = [];
  let end = 0;
  for (const span of [...spans].sort((a, b) => a.start - b.start)) {
    const [from, to] = [at(span.start), at(span.end)];
    nodes.push(markedText(text.slice(end, from), words));
    nodes.push(el("mark", { class: "span" }, markedText(text.slice(from, to), words)));
    end = to;
  }
  nodes.push(markedText(text.slice(end), words));
  return nodes;
}

/** Turn positions in code points, as the service counts, into those of JavaScript, which counts UTF-16 units. */
export function unitsOf(text) {
  if (!/[\ud800-\udbff]/.test(text)) return (position) => position;
  const starts = [];
  let unit = 0;
  for (const point of text) {
    starts.push(unit);
    unit += point.length;
  }
  return (position) => starts[position] ?? text.length;
}

/** Cut a text to a length around the first word of a query, with dots where it was cut. */
export function excerpt(text, words, length) {
  if (text.length <= length) return text;
  let start = 0;
  for (const found of text.matchAll(WORD)) {
    if (!words.has(found[0].toLowerCase())) continue;
    start = Math.max(0, found.index - Math.floor(length / 3));
    // From the beginning of a word, if one begins before the word that was found.
    const word = text.slice(start, found.index).search(/\s\S/);
    if (start && word >= 0) start += word + 1;
    break;
  }
  const cut = text.slice(start, start + length);
  return `${start ? "… " : ""}${cut}${start + length < text.length ? " …" : ""}`;
}
