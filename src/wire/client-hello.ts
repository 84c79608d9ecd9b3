/** What a TLS client asks for before anything is agreed: the name, and the protocols it speaks. RFC 8446 §4.1.2. */
import type { Socket } from "node:net";

export type ClientHello =
  | { readonly kind: "more" }
  /** Not one that is read here: TLS itself is to judge it. */
  | { readonly kind: "other" }
  /** `serverName` (RFC 6066 §3) is "" where none is given; `protocols` are those of ALPN (RFC 7301). */
  | { readonly kind: "hello"; readonly serverName: string; readonly protocols: readonly string[] };

const other: ClientHello = { kind: "other" };
const handshakeRecord = 22;
const clientHelloMessage = 1;
/** One record holds it, of whoever is expected here; RFC 8446 §5.1. */
const recordBytesMax = 16_384;

/** Reads the one at the start of the bytes. Pure; never throws. */
export function clientHello(bytes: Buffer): ClientHello {
  if (bytes.length > 0 && bytes[0] !== handshakeRecord) return other;
  if (bytes.length < 5) return { kind: "more" };
  const length = bytes.readUInt16BE(3);
  if (length > recordBytesMax) return other;
  if (bytes.length < 5 + length) return { kind: "more" };
  const record = new Reader(bytes.subarray(5, 5 + length));
  if (record.number(1) !== clientHelloMessage) return other;
  const hello = new Reader(record.part(3));
  hello.skip(2 + 32); // version, random
  hello.part(1); // session
  hello.part(2); // suites
  hello.part(1); // compression
  const extensions = new Reader(hello.part(2));
  let serverName = "";
  let protocols: readonly string[] = [];
  while (extensions.left > 0 && !extensions.isBroken) {
    const type = extensions.number(2);
    const content = new Reader(extensions.part(2));
    if (type === 0) {
      const names = new Reader(content.part(2));
      if (names.number(1) === 0) serverName = names.part(2).toString("latin1");
    } else if (type === 16) {
      const list = new Reader(content.part(2));
      const named: string[] = [];
      while (list.left > 0 && !list.isBroken) named.push(list.part(1).toString("latin1"));
      protocols = named;
    }
  }
  return hello.isBroken || extensions.isBroken ? other : { kind: "hello", serverName, protocols };
}

/** Takes from the front; what is not there makes it broken, and empty. */
class Reader {
  #rest: Buffer;
  isBroken = false;

  constructor(bytes: Buffer) {
    this.#rest = bytes;
  }

  get left(): number {
    return this.#rest.length;
  }

  skip(bytes: number): Buffer {
    if (bytes > this.#rest.length) this.isBroken = true;
    const taken = this.#rest.subarray(0, bytes);
    this.#rest = this.isBroken ? this.#rest.subarray(0, 0) : this.#rest.subarray(bytes);
    return taken;
  }

  number(bytes: 1 | 2 | 3): number {
    const taken = this.skip(bytes);
    return this.isBroken ? 0 : taken.readUIntBE(0, bytes);
  }

  /** What a length in so many bytes stands before. */
  part(lengthBytes: 1 | 2 | 3): Buffer {
    return this.skip(this.number(lengthBytes));
  }
}

/**
 * Reads it from a fresh socket and gives it back to whoever reads next: `other` where it is none that is read here,
 * `late` where it has not come in time. Who ends, or is cut, before that is let go, and nothing is told.
 */
export function whenClientHello(
  socket: Socket,
  limitMs: number,
  told: (hello: Extract<ClientHello, { kind: "hello" | "other" }> | { readonly kind: "late" }) => void,
): void {
  let received: Buffer = Buffer.alloc(0);
  const over = (): void => {
    clearTimeout(timer);
    socket.off("data", data);
    socket.off("end", ended);
    socket.off("close", ended);
  };
  const data = (bytes: Buffer): void => {
    received = Buffer.concat([received, bytes]);
    const hello = clientHello(received);
    if (hello.kind === "more") return;
    over();
    socket.pause();
    socket.unshift(received);
    told(hello);
  };
  const ended = (): void => {
    over();
    socket.destroy();
  };
  const timer = setTimeout(() => {
    over();
    told({ kind: "late" });
  }, limitMs);
  socket.on("data", data);
  socket.on("end", ended);
  socket.on("close", ended);
}
