/**
 * A TCP proxy that does to its connections what networks do: cuts, black holes, single bytes, an end after so many
 * bytes.
 */
import { FrameSplitter } from "../../src/zookeeper/frame-splitter.ts";
import { createServer, connect, type AddressInfo, type Server, type Socket } from "node:net";

export class FaultProxy {
  /** Bytes of answers still to deliver before the connection is cut; null for all. */
  cutAfterBytes: number | null = null;
  /** Answers delivered byte by byte. */
  bytewise = false;
  /** Nothing passes, nobody is told. */
  blackHole = false;
  /** New connections are closed at once. */
  refusing = false;
  /** Requests pass, answers do not. */
  swallowAnswers = false;
  /** Sees each chunk of answers, and may replace it. */
  rewrite: ((chunk: Buffer) => Buffer) | null = null;
  /** Sees each frame of ZooKeeper's protocol that a client sends, before it is passed on: its type and its bytes. */
  requested: ((type: number, frame: Buffer) => void) | null = null;
  connections = 0;
  readonly #server: Server;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #target: { readonly host: string; readonly port: number };

  constructor(target: { readonly host: string; readonly port: number }) {
    this.#target = target;
    this.#server = createServer((client) => this.#accept(client));
  }

  static async start(port: number): Promise<FaultProxy> {
    const proxy = new FaultProxy({ host: "127.0.0.1", port });
    await new Promise<void>((done) => proxy.#server.listen(0, "127.0.0.1", done));
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** The port that new connections go to. */
  get target(): number {
    return this.#target.port;
  }

  /** Where new connections go. */
  aim(port: number): void {
    this.#target = { host: "127.0.0.1", port };
  }

  /** Cuts every connection. */
  cut(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise<void>((done) => this.#server.close(() => done()));
  }

  #accept(client: Socket): void {
    this.connections++;
    if (this.refusing) return void client.destroy();
    const server = connect(this.#target);
    const pair = [client, server] as const;
    this.#pairs.add(pair);
    for (const socket of pair) {
      socket.setNoDelay(true);
      socket.on("error", () => {});
      socket.on("close", () => {
        this.#pairs.delete(pair);
        client.destroy();
        server.destroy();
      });
    }
    const splitter = new FrameSplitter(2 ** 24);
    client.on("data", (chunk: Buffer) => {
      if (this.requested !== null)
        for (const frame of splitter.push(chunk)) this.requested(frame.length < 8 ? 0 : frame.readInt32BE(4), frame);
      if (!this.blackHole) server.write(chunk);
    });
    server.on("data", (chunk: Buffer) => {
      if (this.blackHole || this.swallowAnswers) return;
      const bytes = this.rewrite?.(chunk) ?? chunk;
      if (this.cutAfterBytes !== null) {
        const pass = bytes.subarray(0, this.cutAfterBytes);
        this.cutAfterBytes -= pass.length;
        if (pass.length > 0) client.write(pass);
        if (pass.length < bytes.length) client.end(() => client.destroy());
        return;
      }
      if (this.bytewise) for (const byte of bytes) client.write(Buffer.from([byte]));
      else client.write(bytes);
    });
    return undefined;
  }
}
