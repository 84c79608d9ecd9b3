import { configDefaults, defineConfig } from "vitest/config";

/**
 * Files that bear a busy machine: mostly they wait, for sessions to end and for time to pass, hold nothing to a clock, and
 * count nothing that a member without a processor for a moment would change. They run beside each other, before the rest.
 */
const patient = [
  "test/cluster/coordinator-host.test.ts",
  "test/conformance/conformance.test.ts",
  "test/scenario/command-line.test.ts",
  "test/scenario/dashboard.test.ts",
  "test/scenario/long-and-slow.test.ts",
  "test/scenario/traces.test.ts",
  "test/zookeeper/members.test.ts",
];

/** Files whose members are all told how many threads to have: what runs them again with another number says nothing new. */
const sameAgain = [
  "test/scenario/access-log-early.test.ts",
  "test/scenario/eval.test.ts",
  "test/scenario/threads.test.ts",
  "test/scenario/threads-hits.test.ts",
];

export default defineConfig({
  test: {
    // Members of tests have one thread unless the run says otherwise: how many processors there are must not matter.
    env: { GYRE_THREADS: process.env["GYRE_THREADS"] ?? "1" },
    testTimeout: 30_000,
    hookTimeout: 60_000,
    projects: [
      {
        extends: true,
        test: { name: "together", include: patient, fileParallelism: true, maxWorkers: 3, sequence: { groupOrder: 1 } },
      },
      {
        extends: true,
        test: {
          name: "alone",
          include: ["src/**/*.test.ts", "dashboard/**/*.test.ts", "test/**/*.test.ts"],
          exclude: [
            ...configDefaults.exclude,
            ...patient,
            ...(process.env["GYRE_TEST_AGAIN"] === undefined ? [] : sameAgain),
          ],
          // Real processes on two cores: files one after the other keep each other's timing out of the results.
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
    reporters:
      process.env["GYRE_TEST_JSON"] === undefined
        ? ["default"]
        : ["default", ["json", { outputFile: process.env["GYRE_TEST_JSON"] }]],
  },
});
