/** The Node to run things with: the checkout's own, which `bin/gyre` would go on under, where it is installed. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";

const own = resolve(import.meta.dirname, "../node_modules/.bin/node");
export const node = existsSync(own) ? own : process.execPath;
