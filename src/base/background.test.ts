import { connect } from "node:net";
import { expect, it } from "vitest";
import { errorText } from "./background.ts";

it("says what has failed where Node says it of several addresses at once", async () => {
  const error = await new Promise<Error>((failed) => {
    const lookup = (_host: string, _options: unknown, done: (error: null, found: object[]) => void): void =>
      done(null, [
        { address: "127.0.0.1", family: 4 },
        { address: "127.0.0.2", family: 4 },
      ]);
    connect({ host: "two.test", port: 1, lookup, autoSelectFamily: true } as never).once("error", failed);
  });
  expect(errorText(error)).toContain("ECONNREFUSED");
  expect(errorText(new Error("a sentence"))).toBe("a sentence");
});
