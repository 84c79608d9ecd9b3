/**
 * Run by peer-tls.test.ts inside `unshare -n`: members that are other machines to each other, which are restarted one
 * after the other from `peer-tls: off` to links that are encrypted, and back. Says what a purge at each of them has come
 * to after each restart. Refuses to run where there is any other network device.
 */
import { execFileSync } from "node:child_process";
import { gyre } from "./command.ts";
import { endAll, settled, startMember, temporaryFolder, type TestMember } from "./member.ts";
import { refuseOtherDevices } from "./own-network.ts";

refuseOtherDevices();

const places = [1, 2, 3].map((number) => `10.77.1.${number}`);
execFileSync("ip", ["link", "set", "lo", "up"]);
for (const place of places) execFileSync("ip", ["addr", "add", `${place}/32`, "dev", "lo"]);

const folder = temporaryFolder();
const purged: string[] = [];
const members: TestMember[] = [];
async function start(index: number, tls: string): Promise<void> {
  const own = ["--name", `m${index + 1}`, "--peer", `${places[index]}:8081`, "--peer-tls", tls];
  const where = index === 0 ? [] : ["--coordinator", `http://${places[0]}:8081`];
  members[index] = await startMember([...own, ...where]);
}
for (const index of [0, 1, 2]) await start(index, "off");
await settled(members);
for (const tls of ["auto", "off"])
  for (const index of [0, 1, 2]) {
    await members[index]!.stop();
    await start(index, tls);
    await settled(members);
    const codes = await Promise.all(
      members.map(({ admin }) => gyre(["purge", "--all", "--yes", "--admin", admin], folder)),
    );
    purged.push(`m${index + 1} ${tls}: ${codes.map(({ code }) => code).join(" ")}`);
  }
await endAll();
process.stdout.write(JSON.stringify(purged), () => process.exit(0));
