/**
 * A contender of the chaos test, a process of its own: stands for election through the proxy at the port given, and while it may
 * act, does so all the time: a line with the term and the machine's monotonic clock, and a fenced write to the view.
 */
import { ZooKeeperCoordinator } from "../../dist/coordination/zookeeper-coordinator.js";

const [name, port, chroot, sessionMs] = process.argv.slice(2);
const member = {
  name,
  listen: "127.0.0.1:1",
  peer: "127.0.0.1:2",
  admin: "127.0.0.1:3",
  pid: process.pid,
  weight: 1,
  zone: "",
  state: "active",
  tls: false,
  startedMs: Date.now(),
};
let [floor, publishing] = [0, false];
const coordinator = new ZooKeeperCoordinator({
  address: "zookeeper://test",
  servers: [{ host: "127.0.0.1", port: Number(port) }],
  sessionMs: Number(sessionMs),
  cluster: "c",
  chroot,
  credentials: null,
  failed: () => {},
});
setInterval(() => {
  const term = coordinator.acting();
  if (term === null) return;
  process.stdout.write(`${name} acts ${term} ${process.hrtime.bigint()}\n`);
  if (publishing) return;
  publishing = true;
  const epoch = floor + 1;
  coordinator
    .publish({ cluster: "c", epoch, leader: name, placement: 1, members: [member] }, term)
    .then((result) => result === "published" && process.stdout.write(`${name} published ${term} ${epoch}\n`))
    .catch((error) => process.stdout.write(`${name} failed ${error.message}\n`))
    .finally(() => (publishing = false));
}, 10);
await coordinator.join(member, {
  session: () => {},
  members: (_members, epochFloor) => (floor = Math.max(floor, epochFloor)),
  leading: () => {},
  view: ({ epoch }) => (floor = Math.max(floor, epoch)),
  ousted: (reason) => {
    process.stdout.write(`${name} ousted ${reason}\n`);
    process.exit(1);
  },
});
