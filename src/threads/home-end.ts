/** Home's end of the link to one front: which connections have come here, and what becomes of them. */
import { PassingMap } from "../base/passing.ts";
import type { Client } from "../wire/exchange.ts";
import { jsonOf } from "../base/json.ts";
import type { ByteRing } from "./byte-ring.ts";
import { HomeSocket } from "./home-socket.ts";
import type { StoreBlocks } from "./store-blocks.ts";
import { frame, ThreadLink } from "./thread-link.ts";

/** What home does with a connection. */
export type AcceptConnection = (socket: HomeSocket, client: Client) => void;

/** One front, as home sees it. */
export class HomeEnd {
  readonly #link: ThreadLink;
  readonly #blocks: StoreBlocks;
  readonly #accept: AcceptConnection;
  readonly #sockets = new PassingMap<number, HomeSocket>();

  /** `blocks` are those that the front has said to have. */
  constructor(
    incoming: ByteRing,
    outgoing: ByteRing,
    blocks: StoreBlocks,
    accept: AcceptConnection,
    failed: (error: Error) => void,
  ) {
    this.#blocks = blocks;
    this.#accept = accept;
    this.#link = new ThreadLink(
      incoming,
      outgoing,
      (kind, number, content) => this.#take(kind, number, content),
      failed,
    );
  }

  /** The front is gone, and all its connections. */
  close(): void {
    this.#link.close();
    for (const socket of this.#sockets.values()) socket.gone();
    this.#sockets.clear();
  }

  #take(kind: number, number: number, content: Buffer): void {
    if (kind === frame.opened) return this.#opened(number, content);
    const socket = this.#sockets.get(number);
    // What crosses a farewell on its way.
    if (socket === undefined) return undefined;
    switch (kind) {
      case frame.data:
        return socket.received(content);
      case frame.taken:
        return socket.took(content.readUInt32LE(0));
      case frame.ended:
        return socket.ended();
      case frame.flushed:
        return socket.flushed();
      case frame.gone:
        this.#sockets.delete(number);
        return socket.gone();
    }
    throw new Error(`a front thread sent a frame of kind ${kind}`);
  }

  #opened(number: number, content: Buffer): void {
    const client = jsonOf(content.toString()) as Client;
    const socket = new HomeSocket(this.#link, number, this.#blocks);
    // Until the front says that it is done with it, whatever becomes of this end.
    this.#sockets.set(number, socket);
    this.#accept(socket, client);
  }
}
