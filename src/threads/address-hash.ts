/** A client's address as a number, the same in every thread of a process and in no other. */
import { murmur3 } from "../ring/murmur3.ts";

/** 32 bits. */
export function addressHash(address: string): number {
  return murmur3(`${process.pid}/${address}`);
}
