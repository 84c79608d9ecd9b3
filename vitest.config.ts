import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["src/**/*.test.ts", "dashboard/**/*.test.ts", "test/**/*.test.ts"],
    // Members of tests have one thread unless the run says otherwise: how many processors there are must not matter.
    env: { GYRE_THREADS: process.env["GYRE_THREADS"] ?? "1" },
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Real processes on two cores: files one after the other keep each other's timing out of the results.
    fileParallelism: false,
    reporters:
      process.env["GYRE_TEST_JSON"] === undefined
        ? ["default"]
        : ["default", ["json", { outputFile: process.env["GYRE_TEST_JSON"] }]],
  },
});
