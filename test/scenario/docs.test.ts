/** The documents: what their pages tell to do is done, and comes out as they say. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { runApart } from "../support/own-network.ts";
import { root } from "../support/member.ts";

const folder = join(root, "docs");
const pages = readdirSync(folder).filter((name) => name.endsWith(".md"));
const withCommands = pages.filter((name) => /^```sh$/m.test(readFileSync(join(folder, name), "utf8")));

describe("pages", () => {
  it.each(withCommands)(
    "%s",
    async (name) => {
      const { output, errors } = await runApart("run-page.ts", join(folder, name));
      const { ran, failures } = JSON.parse(output || "{}") as { ran?: number; failures?: string[] };
      expect([failures, errors]).toEqual([[], expect.not.stringContaining("Error")]);
      expect(ran).toBeGreaterThan(2);
    },
    90_000,
  );

  it("are all in the table of contents, and lead where something is", () => {
    const contents = readFileSync(join(folder, "README.md"), "utf8");
    expect(pages.filter((name) => name !== "README.md" && !contents.includes(`(${name})`))).toEqual([]);
  });
});
