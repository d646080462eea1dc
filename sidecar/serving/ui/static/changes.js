// What changed between two orders of document ids, for lists of the biggest changes.

const DEPTH = 10;

/** The share of the first ten that stay there, and the largest move among the documents at the top of the second. */
export function change(first, second) {
  const top = second.slice(0, DEPTH);
  const before = new Map(first.map((docid, i) => [docid, i + 1]));
  const kept = top.filter((docid) => (before.get(docid) ?? Infinity) <= DEPTH).length;
  const moves = top.map((docid, i) => ({ docid, from: before.get(docid) ?? null, to: i + 1 }));
  const size = ({ from, to }) => Math.abs((from ?? first.length + 1) - to);
  const largest = moves.reduce((best, move) => (size(move) > size(best) ? move : best), moves[0]);
  return { kept: top.length ? kept / top.length : 1, largest, size: largest ? size(largest) : 0 };
}

/** Queries of two runs, the biggest changes first; `missing` are in one run alone. */
export function changesOf(first, second) {
  const both = [...second.keys()].filter((qid) => first.has(qid));
  const found = both.map((qid) => ({ qid, ...change(first.get(qid), second.get(qid)) }));
  found.sort((a, b) => a.kept - b.kept || b.size - a.size);
  return { found, missing: first.size + second.size - 2 * both.length };
}
