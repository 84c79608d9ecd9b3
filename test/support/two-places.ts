/**
 * Run by places.test.ts inside `unshare -n`: two machines, as two network namespaces with a wire between them, and a
 * member on each. Says what a client of the first gets for loopback addresses. Refuses to run where there is any other
 * network device.
 */
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { createServer } from "node:http";
import { program, secret, temporaryFolder, until } from "./member.ts";
import { isApart, refuseOtherDevices } from "./own-network.ts";
import { through } from "./client.ts";

refuseOtherDevices();

const children: ChildProcess[] = [];
process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL");
});
const ip = (...parameters: string[]): void => void execFileSync("ip", parameters);
const [here, there] = ["10.77.0.1", "10.77.0.2"];
const away = spawn("unshare", ["-n", "sleep", "300"], { stdio: "ignore" });
children.push(away);
const inside = ["nsenter", "-t", String(away.pid), "-n"] as const;
await until(() => isApart(away.pid!), "the other place is there");
ip("link", "set", "lo", "up");
ip("link", "add", "wire", "type", "veth", "peer", "name", "wire2", "netns", String(away.pid));
ip("addr", "add", `${here}/24`, "dev", "wire");
ip("link", "set", "wire", "up");
execFileSync(inside[0], [
  ...inside.slice(1),
  "sh",
  "-c",
  `ip link set lo up; ip addr add ${there}/24 dev wire2; ip link set wire2 up`,
]);

const folder = temporaryFolder();
function start(name: string, address: string, prefix: readonly string[], ...flags: string[]): void {
  const command = [
    ...prefix,
    process.execPath,
    program,
    "start",
    "--name",
    name,
    "--listen",
    "127.0.0.1:8080",
    "--peer",
    `${address}:8081`,
    "--admin",
    "127.0.0.1:8082",
    "--access-log",
    "off",
    ...flags,
  ];
  const child = spawn(command[0]!, command.slice(1), {
    env: { ...process.env, GYRE_SECRET: secret, GYRE_RUN_DIR: `${folder}/${name}` },
    stdio: "ignore",
  });
  children.push(child);
}
start("m1", here, []);
await until(async () => (await fetch("http://127.0.0.1:8082/readyz")).status === 200, "m1 is ready");
start("m2", there, inside, "--coordinator", `http://${here}:8081`);
const serves = `require("http").createServer((q,s)=>{s.setHeader("cache-control","max-age=60");s.end("private to the other machine")}).listen(7000,"127.0.0.1")`;
children.push(spawn(inside[0], [...inside.slice(1), process.execPath, "-e", serves], { stdio: "ignore" }));
const own = createServer((_request, response) => {
  response.setHeader("cache-control", "max-age=60");
  response.end("this machine's own");
});
await new Promise<void>((done) => own.listen(7001, "127.0.0.1", done));
await until(async () => {
  const { members } = (await (await fetch("http://127.0.0.1:8082/api/status")).json()) as {
    members: { state: string }[];
  };
  return members.length === 2 && members.every(({ state }) => state === "active");
}, "both see each other");

const seen: Record<string, number> = {};
for (let index = 0; index < 30; index++) {
  for (const url of [
    `http://127.0.0.1:7000/${index}`,
    `http://localhost:7000/${index}`,
    `http://127.0.0.1:7001/${index}`,
    `http://127.0.0.1:8082/api/status?${index}`,
  ]) {
    // Admin ports want to be shown the secret by what comes through a proxy.
    const { status, text } = await through(8080, url, { headers: { authorization: `Bearer ${secret}` } });
    const what = `${new URL(url).port}: ${status} ${text.includes("private") ? "the other's" : text.includes("own") ? "its own" : text.includes('"name":"m1","state":"ready"') ? "m1" : text.includes("m2") ? "m2" : "nobody"}`;
    seen[what] = (seen[what] ?? 0) + 1;
  }
}
process.stdout.write(JSON.stringify(seen), () => process.exit(0));
