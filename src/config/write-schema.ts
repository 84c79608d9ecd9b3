/** Writes the JSON Schema of the configuration file, as the build does. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { z } from "zod";
import { configSchema } from "./schema.ts";

const [, , target = "schema/gyre.schema.json"] = process.argv;
mkdirSync(dirname(target), { recursive: true });
const schema = z.toJSONSchema(configSchema, { io: "input", unrepresentable: "any" }) as {
  properties: Record<string, { default?: unknown }>;
};
// This machine's memory is no default for another's.
delete schema.properties["memory"]!.default;
writeFileSync(target, `${JSON.stringify({ ...schema, title: "Gyre configuration" }, null, 2)}\n`);
