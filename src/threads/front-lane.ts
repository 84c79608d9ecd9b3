/** A lane from a front thread to home, by the frames that clients' connections use. */
import type { Client } from "../wire/exchange.ts";
import { nobody, type Lane, type LaneListener } from "../wire/http2/lane.ts";
import type { FromHome } from "./from-home.ts";
import { untakenMax, windowBytes } from "./home-socket.ts";
import { frame, type ThreadLink } from "./thread-link.ts";

/** See above. */
export class FrontLane implements Lane, FromHome {
  listener: LaneListener = nobody;
  readonly #number: number;
  readonly #link: ThreadLink;
  readonly #over: () => void;
  #sent = 0;
  #room = windowBytes;
  #untold = 0;
  /** Bytes that the listener has been given and has not taken. */
  #untaken = 0;
  /** All requests in so many bytes have been answered. */
  #answered: number | null = null;
  #isOver = false;

  /** `over` is called when its number means nothing any more. */
  constructor(number: number, link: ThreadLink, client: Client, over: () => void) {
    this.#number = number;
    this.#link = link;
    this.#over = over;
    link.send(frame.opened, number, Buffer.from(JSON.stringify(client)));
  }

  send(bytes: Buffer): boolean {
    if (this.#isOver) return true;
    this.#sent += bytes.length;
    this.#room -= bytes.length;
    this.#link.send(frame.data, this.#number, bytes);
    return this.#room > 0;
  }

  end(): void {
    if (!this.#isOver) this.#link.send(frame.ended, this.#number);
  }

  leave(): void {
    this.listener = nobody;
    if (this.#isOver) return;
    this.#isOver = true;
    this.#link.send(frame.gone, this.#number);
    this.#over();
  }

  write(bytes: Buffer, taken?: () => void): void {
    this.#untaken += bytes.length;
    this.listener.data(bytes, () => {
      taken?.();
      this.#took(bytes.length, false);
    });
  }

  lend(bytes: Buffer): void {
    this.#untaken += bytes.length;
    this.listener.data(bytes, () => this.#took(bytes.length, true));
  }

  ended(): void {
    if (!this.#isOver) this.#link.send(frame.flushed, this.#number);
    this.listener.ended();
  }

  cut(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#link.send(frame.gone, this.#number);
    this.#over();
    this.listener.cut();
  }

  rest(bytes: number): void {
    this.#answered = bytes;
    this.#restWhenTaken();
  }

  room(bytes: number): void {
    this.#room += bytes;
    if (this.#room > 0) this.listener.room();
  }

  #took(bytes: number, atOnce: boolean): void {
    this.#untaken -= bytes;
    if (this.#isOver) return;
    this.#untold += bytes;
    if (atOnce || this.#untold >= untakenMax / 4) {
      this.#link.sendNumber(frame.taken, this.#number, this.#untold);
      this.#untold = 0;
    }
    this.#restWhenTaken();
  }

  /**
   * Home counts what is taken, from the first byte on: the next answer must not begin before this one has been taken,
   * or what is taken of that would count for what still waits of this.
   */
  #restWhenTaken(): void {
    if (this.#untaken > 0 || this.#answered !== this.#sent >>> 0) return;
    this.#answered = null;
    this.listener.rested();
  }
}
