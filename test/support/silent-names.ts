/**
 * Run by names.test.ts inside `unshare -n`: a name server in the place of the system's, which has no word for some
 * names, and a forward proxy that is asked for those and for others. Refuses to run where there is any other network
 * device.
 */
import { execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { through } from "./client.ts";
import { startMember } from "./member.ts";
import { refuseOtherDevices } from "./own-network.ts";

refuseOtherDevices();
execFileSync("ip", ["link", "set", "lo", "up"]);
const configured = [...readFileSync("/etc/resolv.conf", "utf8").matchAll(/^nameserver\s+([\d.]+)\s*$/gm)];
const servers = configured.length === 0 ? ["127.0.0.1"] : configured.map((match) => match[1]!);
for (const server of servers) {
  if (!server.startsWith("127.")) execFileSync("ip", ["addr", "add", `${server}/32`, "dev", "lo"]);
  const socket = createSocket("udp4");
  socket.on("message", (question, { address, port }) => {
    const length = question[12]!;
    if (question.toString("latin1", 13, 13 + length).startsWith("silent")) return;
    let at = 12;
    while (question[at]! > 0) at += 1 + question[at]!;
    const isKnown = question.readUInt16BE(at + 1) === 1;
    const head = Buffer.from(question.subarray(0, at + 5));
    head.writeUInt16BE(0x8180, 2);
    head.writeUInt16BE(isKnown ? 1 : 0, 6);
    head.writeUInt16BE(0, 10);
    const answer = isKnown ? [Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 127, 0, 0, 1])] : [];
    socket.send(Buffer.concat([head, ...answer]), port, address);
  });
  await new Promise<void>((done) => socket.bind(53, server, done));
}
const origin = createServer((_request, response) => response.end("ok"));
await new Promise<void>((done) => origin.listen(0, "127.0.0.1", done));
const { port } = origin.address() as AddressInfo;
const member = await startMember([]);
const order: string[] = [];
const ask = (name: string): Promise<unknown> =>
  through(member.port, `http://${name}.test:${port}/`).then(
    ({ status }) => order.push(`${name} ${status}`),
    () => {},
  );
// Their look-ups have begun when one that was asked for behind them has its answer, or has none either.
for (let index = 0; index < 8; index++) void ask(`silent-${index}`);
await ask("well");
await ask("another");
process.stdout.write(JSON.stringify(order));
await member.kill();
process.exit(0);
