// nDCG@10 as trec_eval and ir-measures compute it.

const DEPTH = 10;

const gain = (grades) =>
  grades.slice(0, DEPTH).reduce((sum, grade, i) => sum + Math.max(0, grade) / Math.log2(i + 2), 0);

/**
 * nDCG@10 of a ranking of document ids, by the grades of its query (a Map). What is not judged counts as 0; the ideal
 * is made of all judged documents. Null if nothing is judged, 0 if nothing is relevant.
 */
export function ndcg(docids, grades) {
  if (!grades.size) return null;
  const ideal = gain([...grades.values()].sort((a, b) => b - a));
  return ideal ? gain(docids.map((docid) => grades.get(docid) ?? 0)) / ideal : 0;
}

/** How many of the first ten are judged. */
export const judgedAtTop = (docids, grades) => docids.slice(0, DEPTH).filter((docid) => grades.has(docid)).length;
