// Orders of one comparison: the first stage's, and rerankings computed here from the model's scores.

import { bestFirst, fuse } from "./fusion.js";

/** One list: its entries best first, and its entry for each hit. `position` is a hit's place in the first stage. */
function listed(entries, share = null) {
  const places = new Array(entries.length);
  entries.forEach((entry, i) => {
    entry.rank = i + 1;
    places[entry.position] = entry;
  });
  return { entries, places, share };
}

/** The order of the search engine. */
export function firstStage(hits) {
  return listed(hits.map((hit, position) => ({ position, score: hit.score, row: null })));
}

/**
 * Rerank the first `window` hits with these model scores (null: not scored): the scored ones by fused score, then the
 * others in first-stage order, as `sidecar.reranker.arrange`.
 */
export function reranked(hits, modelScores, fusion, window) {
  const scored = [];
  const rest = [];
  hits.forEach((_, i) => (i < window && typeof modelScores[i] === "number" ? scored : rest).push(i));
  const fused = fuse(
    fusion,
    scored.map((i) => hits[i].score),
    scored.map((i) => modelScores[i]),
  );
  const entries = bestFirst(fused.scores).map((i) => ({
    position: scored[i],
    score: fused.scores[i],
    row: fused.rows ? fused.rows[i] : null,
  }));
  return listed([...entries, ...rest.map((position) => ({ position, score: null, row: null }))], fused.share);
}

/** The model's scores of a ranking by place in the first stage, and what else is known of each hit. */
export function scoresOf(ranking, count) {
  const scores = new Array(count).fill(null);
  const details = new Array(count).fill(null);
  for (const hit of ranking.hits) {
    scores[hit.first_stage_rank - 1] = hit.rerank_score;
    details[hit.first_stage_rank - 1] = hit;
  }
  return { scores, details };
}

/** Say whether a list has the order of the service's own ranking before stage two, as far as that goes. */
export function agrees(list, ranking) {
  const place = (hit) => (hit.stage_one_rank ?? hit.rank) - 1;
  return ranking.hits.every((hit) => list.entries[place(hit)]?.position === hit.first_stage_rank - 1);
}

/** Put the first entries in the generator's order. Scores stay with their places; `before` is what an entry was. */
export function inStageTwo(list, ranking) {
  const entries = [...list.entries];
  for (const hit of ranking.hits.filter((one) => one.stage_one_rank)) {
    const before = list.places[hit.first_stage_rank - 1];
    entries[hit.rank - 1] = { ...before, score: list.entries[hit.rank - 1].score, before };
  }
  return listed(entries, list.share);
}
