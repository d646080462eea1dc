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
