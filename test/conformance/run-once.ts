/**
 * One run of the listed public tests as a process: `run-once.ts BASE [http2 | PROXY-HOST PROXY-PORT]` prints the
 * results as JSON.
 */
import { runListed } from "./public-tests.ts";

const [, , base, host, port] = process.argv;
const how = host === undefined ? null : host === "http2" ? host : { host, port: Number(port) };
const results = await runListed(base!, how);
process.stdout.write(JSON.stringify(results));
