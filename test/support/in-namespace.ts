/**
 * Run by destinations.test.ts inside `unshare -n`: puts the addresses on the loopback device, with a server behind each
 * that counts who reaches it, and tries them through real members. Refuses to run where there is any other network
 * device.
 */
import { execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { endAll, startMember, type TestMember } from "./member.ts";
import { refuseOtherDevices } from "./own-network.ts";

refuseOtherDevices();

const elsewhere = "10.0.0.7";
execFileSync("ip", ["link", "set", "lo", "up"]);
for (const address of ["169.254.169.254", "100.100.100.200", elsewhere, "10.0.0.9", "203.0.113.5"])
  execFileSync("ip", ["addr", "add", `${address}/32`, "dev", "lo"]);
// Reached here without being an address of this machine: what stands for the world.
execFileSync("ip", ["route", "add", "local", "198.51.100.7/32", "dev", "lo"]);

let reached = 0;
const trap = createServer((_request, response) => {
  reached++;
  response.setHeader("cache-control", "max-age=60");
  response.end("reached");
});
await new Promise<void>((done) => trap.listen(0, "0.0.0.0", done));
const { port } = trap.address() as AddressInfo;

/** A name server that knows three names. */
const names: Readonly<Record<string, readonly number[]>> = {
  "metadata.test": [169, 254, 169, 254],
  "inner.test": [10, 0, 0, 9],
  "public.test": [198, 51, 100, 7],
  "own.test": [203, 0, 113, 5],
};
const resolver = createSocket("udp4");
resolver.on("message", (question, { address, port: from }) => {
  const labels: string[] = [];
  let at = 12;
  while (question[at]! > 0) {
    labels.push(question.toString("latin1", at + 1, at + 1 + question[at]!));
    at += 1 + question[at]!;
  }
  const type = question.readUInt16BE(at + 1);
  const known = type === 1 ? names[labels.join(".").toLowerCase()] : undefined;
  const head = Buffer.from(question.subarray(0, at + 5));
  head.writeUInt16BE(0x8180, 2);
  head.writeUInt16BE(known === undefined ? 0 : 1, 6);
  head.writeUInt16BE(0, 10);
  const answer = known === undefined ? [] : [Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, ...known])];
  resolver.send(Buffer.concat([head, ...answer]), from, address);
});
await new Promise<void>((done) => resolver.bind(0, "127.0.0.1", done));
const resolving = [
  "--resolver",
  `127.0.0.1:${resolver.address().port}`,
  "--connect-ports",
  "any",
  "--listen",
  "0.0.0.0:0",
  "--allow",
  "10.0.0.0/8",
];

const results: { what: string; status: number; reached: number }[] = [];

async function attempt(what: string, member: TestMember, from: string, url: string, method = "GET"): Promise<void> {
  reached = 0;
  const path = method === "CONNECT" ? new URL(url).host : url;
  const status = await new Promise<number>((done, fail) => {
    const asked = request(
      {
        host: from,
        localAddress: from,
        port: member.port,
        path,
        method,
        headers: { host: new URL(url).host },
        agent: false,
      },
      (response) => {
        response.resume();
        response.on("end", () => done(response.statusCode!));
      },
    );
    asked.on("connect", (response, socket) => {
      socket.destroy();
      done(response.statusCode!);
    });
    asked.on("error", fail);
    asked.end();
  });
  results.push({ what, status, reached });
}

const member = await startMember(resolving);
for (const place of [
  "169.254.169.254",
  "[::ffff:a9fe:a9fe]",
  "100.100.100.200",
  "metadata.test",
  "unknown.test",
  "127.0.0.1",
  "10.0.0.9",
]) {
  await attempt(`local to ${place}`, member, "127.0.0.1", `http://${place}:${port}/local/${encodeURIComponent(place)}`);
}
for (const place of [
  "127.0.0.1",
  "10.0.0.9",
  "inner.test",
  "metadata.test",
  "public.test",
  "own.test",
  "198.51.100.7",
  "203.0.113.5",
]) {
  await attempt(`elsewhere to ${place}`, member, elsewhere, `http://${place}:${port}/elsewhere`);
}
await attempt(
  "elsewhere to what a local client had stored",
  member,
  elsewhere,
  `http://127.0.0.1:${port}/local/127.0.0.1`,
);
await attempt("elsewhere by CONNECT to 10.0.0.9", member, elsewhere, `http://10.0.0.9:${port}/`, "CONNECT");
const open = await startMember([...resolving, "--name", "open", "--allow-destination", "0.0.0.0/0"]);
await attempt("elsewhere to 10.0.0.9 where it is allowed", open, elsewhere, `http://10.0.0.9:${port}/`);
await attempt("elsewhere to 169.254.169.254 where all is allowed", open, elsewhere, `http://169.254.169.254:${port}/`);
await endAll();
process.stdout.write(JSON.stringify(results), () => process.exit(0));
