/**
 * `npm test`: makes sure of what the tests need beyond npm, then builds, checks and tests. On Debian as root it installs what
 * is missing with apt (GYRE_TEST_NO_INSTALL=1 forbids that); elsewhere it says what to install, runs the rest, and does not
 * end green under CI=true. Further arguments go to vitest.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join, relative, resolve } from "node:path";
import { stripVTControlCharacters } from "node:util";

const root = resolve(import.meta.dirname, "..");
/** What the tests drive, and the Debian package that has it. */
const needs = [
  { command: "nginx", package: "nginx-light", why: "the real origin" },
  { command: "apache2", package: "apache2-bin", why: "another real origin" },
  { command: "curl", package: "curl", why: "a real client" },
  { command: "wget", package: "wget", why: "a real client" },
  { command: "python3", package: "python3-minimal", why: "a real client" },
  { command: "systemd-notify", package: "systemd", why: "a service manager" },
  { command: "promtool", package: "prometheus", why: "what reads the metrics" },
  { command: "nghttp", package: "nghttp2-client", why: "a real client of HTTP/2" },
  { command: "openssl", package: "openssl", why: "certificates for TLS tests" },
  { command: "unshare", package: "util-linux", why: "network namespaces" },
  { command: "ip", package: "iproute2", why: "network namespaces" },
  { command: "java", package: "default-jre-headless", why: "ZooKeeper" },
  { file: "/usr/share/java/zookeeper.jar", package: "libzookeeper-java", why: "ZooKeeper" },
  { file: "/usr/lib/python3/dist-packages/kazoo", package: "python3-kazoo", why: "the other ZooKeeper client" },
  { file: "/usr/lib/python3/dist-packages/httpx", package: "python3-httpx", why: "a real client of HTTP/2" },
  { file: "/usr/lib/python3/dist-packages/h2", package: "python3-h2", why: "HTTP/2 for that client" },
  { command: "pebble", package: "pebble", why: "a certificate authority" },
  { command: "chromium", package: "chromium", why: "a real browser" },
];

const path = `${process.env.PATH}${delimiter}/usr/sbin${delimiter}/sbin`;
process.env.PATH = path;
const missing = () =>
  needs.filter(({ command, file }) =>
    file !== undefined ? !existsSync(file) : !path.split(delimiter).some((folder) => existsSync(join(folder, command))),
  );
const nameOf = ({ command, file }) => command ?? file;

let absent = missing();
if (absent.length > 0) {
  console.log(`missing for the tests: ${absent.map((need) => `${nameOf(need)} (${need.why})`).join(", ")}`);
  const packages = absent.map((need) => need.package);
  const debian = existsSync("/etc/debian_version") && process.getuid?.() === 0;
  if (debian && process.env.GYRE_TEST_NO_INSTALL !== "1") {
    console.log(`installing with apt: ${packages.join(" ")}`);
    const environment = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    // Services must not start by themselves: the tests run their own on free ports.
    run("apt-get", ["update", "-qq"], environment);
    run("apt-get", ["install", "-y", "-qq", "--no-install-recommends", "-o", "Dpkg::Use-Pty=0", ...packages], {
      ...environment,
      RUNLEVEL: "1",
    });
    absent = missing();
  } else console.log(`install them, on Debian: apt-get install ${packages.join(" ")}`);
}

const results = [];
const step = (name, command, parameters) => results.push({ name, passed: run(command, parameters) });
const bin = (name) => join(root, "node_modules/.bin", name);
step("build", process.execPath, [bin("tsc"), "-p", "tsconfig.build.json"]);
step("pages", process.execPath, ["scripts/build-pages.mjs"]);
step("types", process.execPath, [bin("tsc"), "-p", "tsconfig.json"]);
step("types of the dashboard", process.execPath, [bin("tsc"), "-p", "dashboard/tsconfig.json"]);
step("lint", process.execPath, [bin("oxlint")]);
step("format", process.execPath, [bin("oxfmt"), "--check"]);

let passed = results.filter((result) => result.passed).length;
let failed = results.length - passed;
/** What failed, told again at the end: who sees the end of a long log alone must still learn it. */
const failures = [];
const folder = mkdtempSync(join(tmpdir(), "gyre-run-"));
// Everything with one thread; then what drives the real program from outside again, with three.
const more = process.argv.slice(2);
vitest("1", more);
if (more.length === 0) vitest("3", ["test/scenario", "test/cluster", "test/conformance"], { GYRE_TEST_AGAIN: "1" });
rmSync(folder, { recursive: true, force: true });

for (const told of failures) console.log(told);
for (const { name, passed: good } of results) if (!good) console.log(`failed: ${name}`);
if (absent.length > 0) {
  console.log(`not everything ran: ${absent.map(nameOf).join(", ")} missing`);
  if (process.env.CI === "true") failed++;
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);

function vitest(threads, parameters, environment = {}) {
  console.log(`members with ${threads} thread${threads === "1" ? "" : "s"}`);
  const report = join(folder, `vitest-${threads}.json`);
  run(process.execPath, [bin("vitest"), "run", ...parameters], {
    ...process.env,
    GYRE_THREADS: threads,
    GYRE_TEST_JSON: report,
    GYRE_TEST_MISSING: absent.map(nameOf).join(","),
    // A thousand members are started, each of the same code: it is compiled once.
    NODE_COMPILE_CACHE: join(folder, "compiled"),
    ...environment,
  });
  if (!existsSync(report)) return void failed++;
  const { numPassedTests, numFailedTests, numTotalTestSuites, numFailedTestSuites, success, testResults } = JSON.parse(
    readFileSync(report, "utf8"),
  );
  for (const file of testResults) {
    const where = `${relative(root, file.name)}, threads: ${threads}`;
    if (file.message) failures.push(`failed: ${where}\n${excerpt(file.message)}`);
    for (const test of file.assertionResults)
      if (test.status === "failed")
        failures.push(`failed: ${where}: ${test.fullName}\n${test.failureMessages.map(excerpt).join("\n")}`);
  }
  passed += numPassedTests;
  failed += numFailedTests;
  // A file that cannot even be loaded has no failed test of its own.
  if (!success && numFailedTests === 0) failed += Math.max(1, numFailedTestSuites);
  if (numTotalTestSuites === 0) failed++;
}

/** The first lines of a message, without colours. */
function excerpt(message) {
  const lines = stripVTControlCharacters(message).split("\n");
  return lines
    .slice(0, 40)
    .map((line) => `    ${line}`)
    .join("\n");
}

function run(command, parameters, environment = process.env) {
  return spawnSync(command, parameters, { cwd: root, stdio: "inherit", env: environment }).status === 0;
}
