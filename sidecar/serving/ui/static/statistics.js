// Sums and moments of lists of numbers, as Python's math and statistics compute them.

/** Add numbers without losing digits (Shewchuk, 1997), as Python's math.fsum. */
export function fsum(values) {
  const partials = [];
  for (let x of values) {
    let kept = 0;
    for (let y of partials) {
      if (Math.abs(x) < Math.abs(y)) [x, y] = [y, x];
      const high = x + y;
      const low = y - (high - x);
      if (low) partials[kept++] = low;
      x = high;
    }
    partials.length = kept;
    partials.push(x);
  }
  let total = 0;
  for (let i = partials.length - 1; i >= 0; i--) total += partials[i];
  return total;
}

export const mean = (values) => fsum(values) / values.length;

/** The sample standard deviation. */
export function deviation(values) {
  const middle = mean(values);
  return Math.sqrt(fsum(values.map((x) => (x - middle) * (x - middle))) / (values.length - 1));
}

/** Pearson's correlation; null where one of the lists does not vary. */
export function correlation(first, second) {
  const [a, b] = [mean(first), mean(second)];
  const products = (one, other) => fsum(one.map((x, i) => x * other[i]));
  const [x, y] = [first.map((value) => value - a), second.map((value) => value - b)];
  const size = Math.sqrt(products(x, x) * products(y, y));
  return size === 0 ? null : products(x, y) / size;
}
