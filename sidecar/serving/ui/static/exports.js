// Judgements as files: qrels, topics, and training data, in the formats of docs/FILES.md and docs/TRAINING.md.

const SPACE = /\s/;

/** TREC qrels, a line for each grade. Throws an Error for an id that the format can't hold. */
export function qrels(judgements) {
  const lines = [];
  for (const { qid, grades } of judgements.queries.values()) {
    for (const [docid, grade] of grades) {
      const odd = [qid, docid].find((id) => !id || SPACE.test(id));
      if (odd !== undefined) throw new Error(`Qrels can't hold the id “${odd}”: it is empty or has white space.`);
      lines.push(`${qid} 0 ${docid} ${grade}\n`);
    }
  }
  return lines.join("");
}

/** The judged queries, `qid<TAB>text`. */
export function topics(judgements) {
  return [...judgements.queries].map(([query, { qid }]) => `${qid}\t${query.replace(/\s+/g, " ").trim()}\n`).join("");
}

/**
 * Training data as JSON lines: each query with its judged passages and their labels. Queries that can't train are left
 * out: fewer than two passages, one label for all, or a passage whose text the page has not seen. Returns the text
 * and the queries that were left out.
 */
export function training(judgements) {
  const lines = [];
  const left = [];
  for (const [query, { qid, grades }] of judgements.queries) {
    const candidates = [...grades].flatMap(([docid, label]) => {
      const known = judgements.texts.get(docid);
      return known && (known.text || known.title) ? [{ docid, title: known.title, text: known.text, label }] : [];
    });
    const usable = candidates.length === grades.size && new Set(grades.values()).size > 1;
    if (usable) lines.push(`${JSON.stringify({ query_id: qid, query, candidates })}\n`);
    else left.push(query);
  }
  return { text: lines.join(""), left };
}
