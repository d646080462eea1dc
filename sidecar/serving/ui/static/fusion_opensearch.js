// OpenSearch's own arithmetic in single precision, with its clamps (sidecar/core/fusion_opensearch.py).

import { deviation, mean } from "./statistics.js";

const single = Math.fround;
const MIN_SCORE = single(0.001);
const SMALLEST = 2 ** -149;

/** Normalise both lists by min_max or z_score; one row for each document. */
export function normalized(normalization, first, model) {
  const normalize = { min_max: minMax, z_score: zScore }[normalization];
  const [a, b] = [first, model].map((scores) => normalize(scores.map(single)));
  return a.map((value, i) => [value, b[i]]);
}

/** Combine rows by the linear, geometric or harmonic mean. */
export function combined(method, rows, weights) {
  const shares = weights.map(single);
  return rows.map((row) => MEANS[method](row, shares));
}

/** 1/(k + rank), rounded half up to ten decimals. */
export function reciprocal(k, rank) {
  const n = k + rank;
  return single(Math.floor((2e10 + n) / (2 * n)) / 1e10);
}

export function weightedSums(rows, weights) {
  return rows.map((row) => row.reduce((total, value, i) => single(total + single(value * single(weights[i]))), 0));
}

function minMax(scores) {
  const [low, high] = [Math.min(...scores), Math.max(SMALLEST, ...scores)];
  if (low === high) return scores.map(() => 1);
  const scaled = scores.map((score) => single(single(score - low) / single(high - low)));
  return scaled.map((score) => (score === 0 ? MIN_SCORE : score));
}

function zScore(scores) {
  const middle = single(mean(scores));
  const spread = scores.length > 1 ? single(deviation(scores)) : 0;
  const [low, high] = [Math.min(...scores), Math.max(...scores)];
  return scores.map((score) => {
    if (score === middle) return high;
    if (spread === 0) return low;
    const scaled = single(single(score - middle) / spread);
    return scaled <= 0 ? MIN_SCORE : scaled;
  });
}

/** Add over the parts of a row that count, with their weights, in single precision. */
function sums(row, weights, counts, part) {
  let [total, share] = [0, 0];
  row.forEach((score, i) => {
    if (!counts(score)) return;
    total = single(total + part(score, weights[i]));
    share = single(share + weights[i]);
  });
  return [total, share];
}

const positive = (score) => score > 0;
const MEANS = {
  linear(row, weights) {
    const [total, share] = sums(
      row,
      weights,
      (score) => score >= 0,
      (score, weight) => single(score * weight),
    );
    return share ? single(total / share) : 0;
  },
  geometric(row, weights) {
    const [total, share] = sums(row, weights, positive, (score, weight) => weight * Math.log(score));
    return share ? single(Math.exp(single(total / share))) : 0;
  },
  harmonic(row, weights) {
    const [total, share] = sums(row, weights, positive, (score, weight) => single(weight / score));
    return total > 0 ? single(share / total) : 0;
  },
};
