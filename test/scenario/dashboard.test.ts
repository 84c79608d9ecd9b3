/** The dashboard in a real browser: what it shows of a whole cluster at any member, and what can be done there. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { chromium, type Browser, type Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { ask } from "../support/client.ts";
import {
  endAll,
  secret,
  startCluster,
  startMember,
  statusOf,
  temporaryFolder,
  until,
  type TestMember,
} from "../support/member.ts";
import { startOrigin, type TestOrigin } from "../support/origin.ts";

const browser = "/usr/bin/chromium";
const hasBrowser = existsSync(browser);
if (!hasBrowser && process.env["CI"] === "true") throw new Error("Chromium is missing: apt-get install chromium");

let origin: TestOrigin;
let running: Browser;
/** Whatever a page complains of. */
let complaints: string[] = [];

beforeAll(async () => {
  origin = await startOrigin((request, response) => {
    response.setHeader("cache-control", "max-age=600");
    response.setHeader("cache-tag", "things");
    response.end(`content of ${request.url}`);
  });
  if (hasBrowser)
    running = await chromium.launch({
      executablePath: browser,
      args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
    });
});
afterEach(async () => {
  await Promise.all(running.contexts().map((context) => context.close()));
  await endAll();
  expect(complaints.splice(0)).toEqual([]);
});
afterAll(async () => {
  await running?.close();
  await origin.close();
});

async function opened(
  { admin }: Pick<TestMember, "admin">,
  hash = "",
  options: Parameters<Browser["newContext"]>[0] = {},
): Promise<Page> {
  const page = await (await running.newContext(options)).newPage();
  page.on("console", (message) => (message.type() === "error" ? complaints.push(message.text()) : undefined));
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(`http://${admin}/${hash}`);
  await page.locator(".standing .state.active").waitFor();
  return page;
}

async function logIn(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByLabel("The cluster's secret").fill(secret);
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Log out" }).waitFor();
}

/** Whether a page has to be moved sideways. */
function isWide(page: Page): Promise<boolean> {
  return page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth");
}

describe.skipIf(!hasBrowser)("the dashboard", () => {
  it("shows the whole cluster at any member: members, ring, rates, origins, what is busiest, events", async () => {
    const members = await startCluster(3, ["--origin", origin.url]);
    const page = await opened(members[2]!);
    for (const { name } of members) {
      await page.getByRole("cell", { name, exact: false }).first().waitFor();
      expect(await page.locator(".ring").getAttribute("aria-label")).toContain(`${name} 3`);
    }
    expect(await page.locator(".standing").textContent()).toMatch(/epoch \d.*m1 leads.*told by m3/);
    expect(await page.locator(".events li").count()).toBeGreaterThan(5);
    await page.getByText(origin.url).first().waitFor();
    const load = { ended: false };
    const loading = (async () => {
      while (!load.ended) for (const { port } of members) await ask(port, "/busy");
    })();
    await page.locator("td.long", { hasText: "/busy" }).first().waitFor();
    const requests = page.locator(".figure", { hasText: "Requests" }).locator("b");
    await until(async () => Number.parseFloat((await requests.textContent()) ?? "") > 1, "the rate is shown");
    load.ended = true;
    await loading;
    await page.getByRole("button", { name: "Clients" }).click();
    await page.getByRole("cell", { name: "127.0.0.1", exact: true }).waitFor();
    expect(await page.locator("canvas").count()).toBe(3);
  });

  it("has figures beside each other on one line, and one member's ring is whole", async () => {
    const member = await startMember(["--origin", origin.url]);
    const page = await opened(member, "", { viewport: { width: 1400, height: 900 } });
    const tops = await page
      .locator(".figure b")
      .evaluateAll((all) => all.map((one) => one.getBoundingClientRect().top));
    expect(tops.length).toBeGreaterThan(5);
    expect(new Set(tops.map(Math.round)).size).toBe(1);
    // A straight line would be a cut through it.
    const shape = await page.locator(".ring path.active").getAttribute("d");
    expect(shape).toMatch(/^(?:M[^MLZ]+Z){2}$/);
  });

  it("tells where a URL lives, what is stored, and why the last answer was no hit", async () => {
    const members = await startCluster(2, ["--origin", origin.url]);
    await ask(members[0]!.port, "/looked-up");
    const page = await opened(members[0]!, "#look-up");
    await page.getByRole("textbox", { name: "URL" }).fill(`http://127.0.0.1:${members[0]!.port}/looked-up`);
    await page.keyboard.press("Enter");
    await page.getByText("Stored response 1").waitFor();
    const text = (await page.locator("main").textContent())!;
    expect(text).toMatch(/Ownerm[12]/);
    expect(text).toMatch(/Last request.*uri-miss.*status 200, at m1/);
    expect(text).toContain("things");
    expect(text).toMatch(/Next GEThit/);
    await page.getByRole("textbox", { name: "URL" }).fill("ftp://nowhere/");
    await page.keyboard.press("Enter");
    await page.getByRole("alert").getByText("is not an http or https URL").waitFor();
    complaints = complaints.filter((complaint) => !complaint.includes("400 (Bad Request)"));
  });

  it("purges, reloads, weighs and drains, for who knows the secret", async () => {
    const members = await startCluster(3, ["--origin", origin.url]);
    await ask(members[0]!.port, "/purged");
    const page = await opened(members[0]!, "#purge");
    await page.getByText("Log in with the cluster's secret to purge.").waitFor();
    await logIn(page);
    await page.getByLabel("What to purge").selectOption("tag");
    await page.getByLabel("all with a tag").fill("things");
    await page.getByRole("button", { name: "Purge", exact: true }).click();
    await page.getByText("Every member has applied it.").waitFor();
    expect(await page.locator("tbody tr").count()).toBe(3);
    const before = origin.count("/purged");
    await ask(members[0]!.port, "/purged");
    expect(origin.count("/purged")).toBe(before + 1);

    await page.goto(`http://${members[0]!.admin}/#member/m2`);
    await page.getByRole("button", { name: "Reload its configuration" }).click();
    await page.getByText("Reload: there is no configuration file to reload").waitFor();
    await page.getByLabel("Weight").fill("2");
    await page.getByRole("button", { name: "Change" }).click();
    await page.getByText("Weight: 2 from now on").waitFor();
    await until(
      async () => (await statusOf(members[0]!)).members.find(({ name }) => name === "m2")!.weight === 2,
      "the view has it",
    );
    await page.goto(`http://${members[0]!.admin}/#member/m3`);
    await page.getByRole("button", { name: "Drain …" }).click();
    await page.getByRole("button", { name: "Drain m3" }).click();
    await until(async () => (await statusOf(members[0]!)).members.length === 2, "it has left");
    await page.getByText("No such member is in the cluster.").waitFor();

    const cookies = await page.context().cookies();
    expect(cookies, "an origin behind the proxy would get them").toEqual([]);
    await page.getByRole("button", { name: "Log out" }).click();
    await page.getByRole("button", { name: "Log in" }).waitFor();
  });

  it("says so while its member does not answer, and goes on when it does", async () => {
    const members = await startCluster(2, ["--origin", origin.url]);
    const page = await opened(members[0]!);
    process.kill(members[1]!.pid, "SIGSTOP");
    await page.locator(".state.unreachable", { hasText: "unreachable" }).first().waitFor();
    process.kill(members[1]!.pid, "SIGCONT");
    await page.getByRole("row", { name: /m2.*active/ }).waitFor();
    process.kill(members[0]!.pid, "SIGSTOP");
    await page.getByText("m1 does not answer; trying again").waitFor();
    process.kill(members[0]!.pid, "SIGCONT");
    await page.locator(".standing .state.active").waitFor();
    await members[0]!.kill();
    await page.getByText("m1 does not answer; trying again").waitFor();
    complaints = complaints.filter((complaint) => !complaint.includes("ERR_"));
  });

  it("can be read in the dark, on a telephone, and by the keyboard alone", async () => {
    const members = await startCluster(2, ["--origin", origin.url]);
    const narrow = await opened(members[0]!, "", { viewport: { width: 360, height: 700 } });
    await narrow.getByRole("heading", { name: "Members" }).waitFor();
    expect(await isWide(narrow)).toBe(false);
    await narrow.goto(`http://${members[0]!.admin}/#member/m1`);
    await narrow.getByText("Share of the keys").waitFor();
    expect(await isWide(narrow)).toBe(false);
    const dark = await opened(members[0]!, "", { colorScheme: "dark" });
    expect(await dark.evaluate("getComputedStyle(document.documentElement).backgroundColor")).toBe("rgb(17, 22, 29)");
    await dark.keyboard.press("Tab");
    expect(await dark.evaluate("document.activeElement.textContent")).toBe("To the content");
    for (const name of ["Cluster", "Look up"]) {
      await dark.keyboard.press("Tab");
      expect(await dark.evaluate("document.activeElement.textContent")).toBe(name);
    }
    await dark.keyboard.press("Enter");
    await dark.getByRole("heading", { name: "Look up a URL" }).waitFor();
  });

  it("needs nothing from elsewhere, and lets nothing of elsewhere run or frame it", async () => {
    const member = await startMember(["--origin", origin.url]);
    const response = await fetch(`http://${member.admin}/`);
    const policy = response.headers.get("content-security-policy")!;
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).toMatch(/script-src 'sha256-[^ ;]+';/);
    const text = await response.text();
    expect(text).not.toMatch(/<(?:script|link|img)[^>]+(?:src|href)="(?!data:)/);
    expect(text.length).toBeLessThan(200_000);
    const page = await (await running.newContext()).newPage();
    const asked: string[] = [];
    page.on("request", (request) => asked.push(new URL(request.url()).host));
    await page.goto(`http://${member.admin}/`);
    await page.locator(".standing .state.active").waitFor();
    expect(new Set(asked.filter((host) => host !== ""))).toEqual(new Set([member.admin]));
  });

  it("is quick with 200 routes and what it shows of them", async () => {
    const file = join(temporaryFolder(), "gyre.yaml");
    const routes = Array.from({ length: 200 }, (_, index) => `  - { path: /part-${index}, origin: "${origin.url}" }`);
    writeFileSync(file, `routes:\n${routes.join("\n")}\n`);
    const member = await startMember(["--config", file]);
    const page = await opened(member);
    await page.getByRole("button", { name: "All 200" }).click();
    await page.getByRole("cell", { name: "*/part-199", exact: true }).waitFor();
    expect(await page.locator("section", { hasText: "Origins" }).locator("tbody tr").count()).toBeGreaterThanOrEqual(
      200,
    );
  });
});
