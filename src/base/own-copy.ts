/** A copy of latin1 text that does not keep alive what it was cut from, such as the head of a request. */
export function ownCopy(text: string): string {
  return Buffer.from(text, "latin1").toString("latin1");
}
