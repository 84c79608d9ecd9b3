import { PassThrough, Writable } from "node:stream";
import { describe, expect, it } from "vitest";
import { TurnsWorth, uncorkTogether, writeTogether } from "./together.ts";

/** A socket that tells what reaches the system, and in how many calls. */
function recorded(): { socket: Writable; calls: string[] } {
  const calls: string[] = [];
  const socket = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      calls.push(chunk.toString());
      done();
    },
    writev: (chunks, done) => {
      calls.push(chunks.map(({ chunk }) => (chunk as Buffer).toString()).join(""));
      done();
    },
  });
  return { socket, calls };
}

const endOfTurn = (): Promise<void> => new Promise((done) => setImmediate(done));

describe("answers of one turn", () => {
  it("leave at its end, in order, those of one connection in one call", async () => {
    const [one, other] = [recorded(), recorded()];
    writeTogether(one.socket, Buffer.from("first "));
    writeTogether(other.socket, Buffer.from("elsewhere"));
    writeTogether(one.socket, Buffer.from("second "));
    one.socket.write("and what is written meanwhile");
    expect([one.calls, other.calls]).toEqual([[], []]);
    await endOfTurn();
    expect(one.calls).toEqual(["first second and what is written meanwhile"]);
    expect(other.calls).toEqual(["elsewhere"]);
  });

  it("leave before a connection is ended behind them", async () => {
    const { socket, calls } = recorded();
    writeTogether(socket, Buffer.from("last"));
    socket.end(" words");
    await endOfTurn();
    expect(calls.join("")).toBe("last words");
  });

  it("do not wait for more than 63 others", () => {
    const many = Array.from({ length: 64 }, recorded);
    for (const { socket } of many.slice(0, 63)) writeTogether(socket, Buffer.from("x"));
    expect(many.flatMap(({ calls }) => calls)).toEqual([]);
    writeTogether(many[63]!.socket, Buffer.from("x"));
    expect(many.every(({ calls }) => calls.length === 1)).toBe(true);
  });

  it("end what was corked, and disturb nobody who has gone", async () => {
    const { socket, calls } = recorded();
    const gone = new PassThrough();
    socket.cork();
    socket.write("1\r\n");
    socket.write("a\r\n");
    uncorkTogether(socket);
    writeTogether(gone, Buffer.from("x"));
    gone.destroy();
    await endOfTurn();
    expect(calls).toEqual(["1\r\na\r\n"]);
  });
});

describe("whether turns are waited for", () => {
  it("not where they have few answers, until looked at again", () => {
    const worth = new TurnsWorth();
    for (let i = 0; i < TurnsWorth.turns; i++) {
      expect(worth.leavesAlone()).toBe(false);
      worth.turn(2);
    }
    for (let i = 0; i < TurnsWorth.alone; i++) expect(worth.leavesAlone()).toBe(true);
    expect(worth.leavesAlone()).toBe(false);
  });

  it("where they have many", () => {
    const worth = new TurnsWorth();
    for (let i = 0; i < 100 * TurnsWorth.turns; i++) {
      expect(worth.leavesAlone()).toBe(false);
      worth.turn(3);
    }
  });
});
