/** Samples of times, compared: whether one class of things takes longer than another. */

export function shuffled<T>(all: readonly T[]): T[] {
  return all
    .map((each) => ({ each, place: Math.random() }))
    .toSorted((a, b) => a.place - b.place)
    .map(({ each }) => each);
}

/** Milliseconds at some shares of the sorted times. */
export function distribution(times: readonly number[]): { p5: number; median: number; p95: number } {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))] ?? 0;
  return { p5: at(0.05), median: at(0.5), p95: at(0.95) };
}

/**
 * Overlapping coefficient of two samples: 1 alike, 0 apart. The bins hold equal shares of both together, so that a few
 * slow runs do not stretch them until all others are in one.
 */
export function overlap(a: readonly number[], b: readonly number[], bins = 20): number {
  const all = [...a, ...b].toSorted((x, y) => x - y);
  const edges = Array.from(
    { length: bins - 1 },
    (_, bin) => all[Math.floor(((bin + 1) * all.length) / bins)] ?? 0,
  );
  const histogram = (times: readonly number[]) => {
    const counts = Array<number>(bins).fill(0);
    for (const time of times) {
      const bin = edges.findIndex((edge) => time < edge);
      const at = bin < 0 ? bins - 1 : bin;
      counts[at] = (counts[at] ?? 0) + 1 / times.length;
    }
    return counts;
  };
  const other = histogram(b);
  return histogram(a).reduce((sum, share, bin) => sum + Math.min(share, other[bin] ?? 0), 0);
}

/**
 * Rank test of Mann and Whitney: the chance that a time of `b` is longer than one of `a`, and by how many standard
 * deviations it differs from one half, which it is where the two are alike.
 */
export function ranked(a: readonly number[], b: readonly number[]): { chance: number; deviations: number } {
  const all = [...a.map((time) => ({ time, own: 0 })), ...b.map((time) => ({ time, own: 1 }))];
  all.sort((x, y) => x.time - y.time);
  let ranks = 0;
  for (let at = 0; at < all.length; ) {
    let end = at + 1;
    while (end < all.length && all[end]?.time === all[at]?.time) end++;
    const ofB = all.slice(at, end).filter(({ own }) => own === 1).length;
    ranks += (ofB * (at + 1 + end)) / 2;
    at = end;
  }
  const pairs = a.length * b.length;
  const longer = ranks - (b.length * (b.length + 1)) / 2;
  const deviation = Math.sqrt((pairs * (a.length + b.length + 1)) / 12);
  return { chance: longer / pairs, deviations: (longer - pairs / 2) / deviation };
}
