/**
 * Ways to place keys on members, for comparison: Gyre's ring, and what else there is. Only the ring is used by members;
 * the others are here to be measured beside it.
 */
import { mixed, murmur3 } from "../ring/murmur3.ts";
import { ownerIndex, ringOf, type RingMember } from "../ring/ring.ts";

/** A placement of keys on members, ready for use. */
export interface Placement {
  readonly ownerOf: (hash: number) => number;
  /** Memory of the tables, in bytes. */
  readonly bytes: number;
}

export interface Algorithm {
  readonly name: string;
  readonly place: (members: readonly RingMember[]) => Placement;
}

/** Gyre's own: two probes. */
export function twoProbes(tokensEach: number): Algorithm {
  return {
    name: `ring, 2 probes, ${tokensEach} tokens`,
    place: (members) => {
      const ring = ringOf(members, tokensEach);
      const { tokens, owners, starts } = ring;
      // The ring numbers members by name.
      const given = Uint16Array.from(ring.members, ({ name }) => members.findIndex((member) => member.name === name));
      return {
        ownerOf: (hash) => given[ownerIndex(ring, hash)]!,
        bytes: tokens.byteLength + owners.byteLength + starts.byteLength,
      };
    },
  };
}

/** The plain ring: the next token after the key's one position. With one token it is the small study system's. */
export function plainRing(tokensEach: number): Algorithm {
  return { name: `ring, 1 probe, ${tokensEach} tokens`, place: (members) => probing(members, tokensEach, 1) };
}

/** One token a member and many probes: the nearest token of all (Appleton and O'Reilly 2015). */
export function multiProbe(probes: number): Algorithm {
  return { name: `multi-probe, ${probes} probes, 1 token`, place: (members) => probing(members, 1, probes) };
}

function probing(members: readonly RingMember[], tokensEach: number, probes: number): Placement {
  const sorted = new Float64Array(members.length * tokensEach);
  let at = 0;
  for (const [index, { name }] of members.entries()) {
    const seed = murmur3(name);
    for (let i = 0; i < tokensEach; i++) sorted[at++] = mixed(seed + Math.imul(i, 0x9e3779b9)) * 65_536 + index;
  }
  sorted.sort();
  const tokens = Uint32Array.from(sorted, (both) => Math.floor(both / 65_536));
  const owners = Uint16Array.from(sorted, (both) => both % 65_536);
  const next = (position: number): number => {
    let [low, high] = [0, tokens.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (tokens[middle]! < position) low = middle + 1;
      else high = middle;
    }
    return low === tokens.length ? 0 : low;
  };
  return {
    ownerOf: (hash) => {
      let [nearest, best] = [Infinity, 0];
      for (let probe = 0; probe < probes; probe++) {
        const position = probe === 0 ? hash : mixed(hash + Math.imul(probe, 0x85ebca6b));
        const token = next(position);
        const distance = (tokens[token]! - position) >>> 0;
        if (distance < nearest) [nearest, best] = [distance, owners[token]!];
      }
      return best;
    },
    bytes: tokens.byteLength + owners.byteLength,
  };
}

/** Google's Maglev table (Eisenbud and others 2016): perfectly even, but a change moves more than it must. */
export function maglev(slots = 65_537): Algorithm {
  return {
    name: `Maglev, ${slots} slots`,
    place: (members) => {
      const table = new Int32Array(slots).fill(-1);
      const offsets = members.map(({ name }) => murmur3(name) % slots);
      const skips = members.map(({ name }) => (murmur3(name, 0x9747b28c) % (slots - 1)) + 1);
      const next = new Uint32Array(members.length);
      for (let filled = 0; filled < slots;) {
        for (let member = 0; member < members.length && filled < slots; member++) {
          let slot: number;
          do slot = (offsets[member]! + skips[member]! * next[member]!++) % slots;
          while (table[slot] !== -1);
          table[slot] = member;
          filled++;
        }
      }
      return { ownerOf: (hash) => table[hash % slots]!, bytes: table.byteLength };
    },
  };
}

/** Rendezvous hashing (Thaler and Ravishankar 1998) worked out once for every slot of a table. */
export function rendezvousTable(slots = 2 ** 18): Algorithm {
  return {
    name: `rendezvous table, ${slots} slots`,
    place: (members) => {
      const table = new Uint16Array(slots);
      const seeds = Uint32Array.from(members, ({ name }) => murmur3(name));
      for (let slot = 0; slot < slots; slot++) {
        const salt = mixed(slot + 0x9e3779b9);
        let [highest, best] = [-1, 0];
        for (let member = 0; member < seeds.length; member++) {
          const score = mixed(salt ^ seeds[member]!);
          if (score > highest) [highest, best] = [score, member];
        }
        table[slot] = best;
      }
      const shift = 32 - Math.log2(slots);
      return { ownerOf: (hash) => table[hash >>> shift]!, bytes: table.byteLength };
    },
  };
}

/** Rendezvous hashing as it is written: the highest score of all members for every key. */
export const rendezvous: Algorithm = {
  name: "rendezvous, no table",
  place: (members) => {
    const seeds = Uint32Array.from(members, ({ name }) => murmur3(name));
    return {
      ownerOf: (hash) => {
        let [highest, best] = [-1, 0];
        for (let member = 0; member < seeds.length; member++) {
          const score = mixed(hash ^ seeds[member]!);
          if (score > highest) [highest, best] = [score, member];
        }
        return best;
      },
      bytes: seeds.byteLength,
    };
  },
};
