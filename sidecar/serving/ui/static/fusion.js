// The arithmetic of sidecar/core/fusion.py: model and first-stage scores become one score for each hit.
// tests/ui compares it with Python.

import * as opensearch from "./fusion_opensearch.js";
import { correlation, deviation, mean } from "./statistics.js";

export const METHODS = ["rerank", "linear", "adaptive", "rrf", "geometric", "harmonic"];
export const NORMALIZATIONS = ["min_max", "z_score", "l2", "none"];
const SHARES = { linear: 0.9, geometric: 0.5, harmonic: 0.5 };
// The largest share of the first stage in an adaptive fusion.
const LARGEST_SHARE = 0.4;

/** Return the model's weight to use; null if the model's score is used alone, or each list has its own. */
export function modelShare(fusion) {
  if (fusion.method === "rerank") return null;
  return fusion.weight ?? SHARES[fusion.method] ?? null;
}

export const takesWeight = (fusion) => !["rerank", "adaptive"].includes(fusion.method);
export const takesNormalization = (fusion) => !["rerank", "rrf"].includes(fusion.method);

/** Say why the service refuses a fusion; "" if it does not. */
export function obstacle(fusion) {
  const { method, normalization } = fusion;
  if (fusion.arithmetic === "opensearch") {
    if (method === "adaptive") return "An adaptive fusion does not take OpenSearch's arithmetic.";
    const drops = ["l2", "none"].includes(normalization) && ["linear", "geometric", "harmonic"].includes(method);
    return drops ? `OpenSearch's arithmetic with ${normalization} drops negative logits. Use min_max or z_score.` : "";
  }
  const positive = ["geometric", "harmonic"].includes(method) && normalization !== "min_max";
  return positive ? `A ${method} mean is not defined for negative scores. Use min_max.` : "";
}

/** Fuse two lists of scores in first-stage order: `scores`, their `rows` of two parts (null for none), the `share`. */
export function fuse(fusion, first, model) {
  if (fusion.method === "rerank" || !model.length) return { scores: [...model], rows: null, share: null };
  if (fusion.method === "rrf") return reciprocalRanks(fusion, model);
  const share = fusion.method === "adaptive" ? adaptiveWeight(first, model) : modelShare(fusion);
  const weights = [1 - share, share];
  if (fusion.arithmetic === "opensearch") {
    const rows = opensearch.normalized(fusion.normalization, first, model);
    return { scores: opensearch.combined(fusion.method, rows, weights), rows, share };
  }
  const [a, b] = [first, model].map(NORMALIZE[fusion.normalization]);
  const rows = a.map((value, i) => [value, b[i]]);
  return { scores: rows.map((row) => COMBINE[fusion.method](row, weights)), rows, share };
}

/** Return positions by falling score; equal scores keep their order. */
export function bestFirst(scores) {
  return scores.map((_, i) => i).sort((a, b) => scores[b] - scores[a] || a - b);
}

function reciprocalRanks(fusion, model) {
  const k = fusion.rank_constant;
  const weights = fusion.weight === null ? [1, 1] : [1 - fusion.weight, fusion.weight];
  const byModel = new Array(model.length);
  bestFirst(model).forEach((position, i) => (byModel[position] = i + 1));
  const share = modelShare(fusion);
  if (fusion.arithmetic === "opensearch") {
    const rows = byModel.map((rank, i) => [opensearch.reciprocal(k, i + 1), opensearch.reciprocal(k, rank)]);
    return { scores: opensearch.weightedSums(rows, weights), rows, share };
  }
  const rows = byModel.map((rank, i) => [1 / (k + i + 1), 1 / (k + rank)]);
  const scores = byModel.map((rank, i) => weights[0] / (k + i + 1) + weights[1] / (k + rank));
  return { scores, rows, share };
}

/** Find the model's weight for a list, from 0.6 to 1 (sidecar/core/adaptive_weight.py). */
function adaptiveWeight(first, model) {
  const [low, high] = [Math.min(...first), Math.max(...first)];
  const spread = low === high ? 0 : (high - low) / Math.max(Math.abs(low), Math.abs(high));
  const agreement = first.length < 3 ? 0 : Math.max(0, correlation(first, model) ?? 0);
  return 1 - Math.min(LARGEST_SHARE, Math.max(spread ** 2, agreement ** 3));
}

function minMax(scores) {
  const [low, high] = [Math.min(...scores), Math.max(...scores)];
  return scores.map((score) => (low === high ? 1 : (score - low) / (high - low)));
}

function zScore(scores) {
  if (Math.min(...scores) === Math.max(...scores)) return scores.map(() => 0);
  const [middle, spread] = [mean(scores), deviation(scores)];
  return scores.map((score) => (score - middle) / spread);
}

function l2(scores) {
  const norm = Math.hypot(...scores);
  return scores.map((score) => (norm === 0 ? 0 : score / norm));
}

const arithmetic = ([a, b], [u, v]) => (u * a + v * b) / (u + v);

function harmonic(row, weights) {
  const counted = row.map((score, i) => [score, weights[i]]).filter(([, weight]) => weight > 0);
  if (counted.some(([score]) => score === 0)) return 0;
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  return sum(counted.map(([, weight]) => weight)) / sum(counted.map(([score, weight]) => weight / score));
}

const NORMALIZE = { min_max: minMax, z_score: zScore, l2, none: (scores) => [...scores] };
const COMBINE = {
  linear: arithmetic,
  adaptive: arithmetic,
  geometric: ([a, b], [u, v]) => a ** u * b ** v,
  harmonic,
};
