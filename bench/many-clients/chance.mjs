/** Numbers that a seed repeats: what is asked and answered is the same again, when it is said is not. */

/** 32 bits of a text. */
export function hashOf(text) {
  let hash = 2166136261;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 16777619);
  hash = Math.imul(hash ^ (hash >>> 15), 2246822507);
  return (hash ^ (hash >>> 13)) >>> 0;
}

/** A source of numbers from 0 to 1, with what is made of them. */
export function chanceOf(seed) {
  let state = hashOf(seed);
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
  return {
    next,
    below: (count) => Math.floor(next() * count),
    one: (list) => list[Math.floor(next() * list.length)],
    is: (share) => next() < share,
  };
}

/** Resolves after so many milliseconds. */
export const after = (ms) => new Promise((done) => setTimeout(done, ms));
