/** What home says to one connection of a front thread, whatever that is a connection to. */

export interface FromHome {
  /** Bytes; `taken`: they have been, and their memory may be used for something else. */
  write(bytes: Buffer, taken?: () => void): void;
  /** The same of bytes that are home's again when they have been taken. */
  lend(bytes: Buffer): void;
  /** Home has no more to say. */
  ended(): void;
  /** It is over; `isReset`: something is lost. */
  cut(isReset: boolean): void;
  /** Home has answered what it was sent, in so many bytes. */
  rest(bytes: number): void;
  /** Home has room for so many bytes more. */
  room(bytes: number): void;
}
