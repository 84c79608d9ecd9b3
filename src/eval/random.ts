/** Chance from a seed, so that every experiment can be repeated: splitmix (Steele, Lea and Flood 2014) in 32 bits. */

/** Numbers in [0, 1), the same for the same seed. */
export type Random = () => number;

/** A generator of its own for a seed. */
export function randomOf(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
  };
}

/** Ranks 0 … count − 1 with probability proportional to 1 / (rank + 1)^exponent (Zipf). */
export function zipf(count: number, exponent: number, random: Random): () => number {
  const cumulated = new Float64Array(count);
  let sum = 0;
  for (let rank = 0; rank < count; rank++) cumulated[rank] = sum += (rank + 1) ** -exponent;
  return () => {
    const wanted = random() * sum;
    let [low, high] = [0, count - 1];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (cumulated[middle]! < wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}
