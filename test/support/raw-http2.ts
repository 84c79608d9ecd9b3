/** HTTP/2 frame by frame, for what no library would send. */
import { connect as dial, type Socket } from "node:net";

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
/** One frame of RFC 9113 §4.1. */
export const frameOf = (type: number, flags: number, stream: number, content: Buffer = Buffer.alloc(0)): Buffer => {
  const head = Buffer.alloc(9);
  head.writeUIntBE(content.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, content]);
};
/** RFC 9113 §6. */
export const frameType = {
  data: 0,
  headers: 1,
  priority: 2,
  resets: 3,
  settings: 4,
  ping: 6,
  window: 8,
  continuation: 9,
} as const;
type Field = readonly [name: string, value: string];
/** RFC 7541 §5.1, with a prefix of seven bits. */
const lengthOf = (length: number): Buffer =>
  length < 127 ? Buffer.from([length]) : Buffer.from([127, ((length - 127) & 127) | 128, (length - 127) >> 7]);

/** Literal fields without indexing, never compressed. RFC 7541 §6.2.2. */
export const block = (...fields: Field[]): Buffer =>
  Buffer.concat(
    fields.flatMap(([name, value]) => [
      Buffer.concat([Buffer.from([0]), lengthOf(name.length)]),
      Buffer.from(name, "latin1"),
      lengthOf(value.length),
      Buffer.from(value, "latin1"),
    ]),
  );
/** Of a GET in clear, as a client of ours would ask. */
export const getting = (path: string, ...more: Field[]): Buffer =>
  block([":method", "GET"], [":scheme", "http"], [":authority", "h"], [":path", path], ...more);

/** A connection in clear that speaks raw frames; `closed` when the member has ended it. */
export async function raw({
  port,
}: {
  readonly port: number;
}): Promise<{ readonly socket: Socket; readonly closed: Promise<void>; received: () => Buffer }> {
  const socket = dial({ host: "127.0.0.1", port });
  await new Promise((done) => socket.once("connect", done));
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.on("error", () => {});
  const closed = new Promise<void>((done) => socket.once("close", () => done()));
  socket.write(Buffer.concat([preface, frameOf(frameType.settings, 0, 0)]));
  return { socket, closed, received: () => Buffer.concat(chunks) };
}
