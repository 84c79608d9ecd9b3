/**
 * One run of the listed public tests as a process: `run-once.ts BASE [PROXY-HOST PROXY-PORT]` prints the results as
 * JSON.
 */
import { runListed } from "./public-tests.ts";

const [, , base, host, port] = process.argv;
const results = await runListed(base!, host === undefined ? null : { host, port: Number(port) });
process.stdout.write(JSON.stringify(results));
