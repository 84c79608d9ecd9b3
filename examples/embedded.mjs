/**
 * A member of Gyre within a program of one's own, before the application that it caches for:
 *
 *   node examples/embedded.mjs
 *
 * Any server will do in the place of node:http's: Express and Fastify listen in the same way.
 */
import { createServer } from "node:http";
import { startMember } from "gyre";

let asked = 0;
const application = createServer((request, response) => {
  asked++;
  response.setHeader("cache-control", "max-age=60");
  response.end(`answer ${asked} to ${request.url}\n`);
});
await new Promise((done) => application.listen(0, "127.0.0.1", done));

const member = await startMember({
  origin: `http://127.0.0.1:${application.address().port}`,
  listen: "127.0.0.1:0",
  memory: "64MB",
  "log-level": "warn",
});
for (let turn = 0; turn < 3; turn++) {
  const response = await fetch(`http://${member.addresses.listen}/page`);
  console.log(`${response.headers.get("cache-status")}: ${(await response.text()).trim()}`);
}
console.log(`the application was asked ${asked} times`);

await member.stop();
application.close();
