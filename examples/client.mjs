/**
 * A program that fetches through a Gyre cluster, wherever its members are:
 *
 *   node examples/client.mjs zookeeper://127.0.0.1:2181/gyre http://example.com/ [times]
 *   GYRE_SECRET=… node examples/client.mjs http://127.0.0.1:8081 http://example.com/ [times]
 *
 * Kill a member meanwhile, or the leader: it goes on.
 */
import { connect } from "gyre/client";

const [coordinator, url, times = "5"] = process.argv.slice(2);
if (coordinator === undefined || url === undefined) {
  console.error("usage: node examples/client.mjs COORDINATOR URL [TIMES]");
  process.exit(2);
}
const gyre = await connect({ coordinator });
try {
  console.log(`${gyre.view.members.map(({ name }) => name).join(", ")}; ${gyre.leader ?? "nobody"} leads`);
  for (let count = 0; count < Number(times); count++) {
    const response = await gyre.fetch(url);
    const bytes = (await response.arrayBuffer()).byteLength;
    console.log(`${response.status}, ${bytes} bytes: ${response.headers.get("cache-status")}`);
  }
} finally {
  await gyre.close();
}
