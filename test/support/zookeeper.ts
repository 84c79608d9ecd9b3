/** Real ZooKeeper servers, alone or as an ensemble, from Debian's jars: no root, a temporary folder, free ports. */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { temporaryFolder, until } from "./member.ts";
import { freePort } from "./nginx.ts";

const jars = [
  "zookeeper",
  "zookeeper-jute",
  "slf4j-api",
  "slf4j-log4j12",
  "log4j-1.2",
  "netty-handler",
  "netty-all",
  "metrics-core",
  "snappy-java",
  "commons-cli",
]
  .map((name) => `/usr/share/java/${name}.jar`)
  .filter((jar) => existsSync(jar));

export const hasZooKeeper: boolean =
  existsSync("/usr/share/java/zookeeper.jar") && spawnSync("java", ["-version"]).status === 0;

/** For the head of a suite: says what is missing, and is not quiet about it under CI. */
export function needsZooKeeper(): boolean {
  if (!hasZooKeeper && process.env["CI"] === "true")
    throw new Error("ZooKeeper is missing: apt-get install libzookeeper-java");
  return hasZooKeeper;
}

const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

export class ZooKeeperServer {
  readonly port: number;
  readonly #folder: string;
  #child: ChildProcess | null = null;

  constructor(folder: string, port: number) {
    this.#folder = folder;
    this.port = port;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  start(): void {
    const child = spawn(
      "java",
      [
        "-Xmx128m",
        "-XX:+UseSerialGC",
        "-Dzookeeper.extendedTypesEnabled=true",
        "-cp",
        [this.#folder, ...jars].join(":"),
        "org.apache.zookeeper.server.quorum.QuorumPeerMain",
        join(this.#folder, "zoo.cfg"),
      ],
      { stdio: "ignore", cwd: this.#folder },
    );
    this.#child = child;
    running.add(child);
    child.once("exit", () => running.delete(child));
  }

  /** Resolves when it serves clients. */
  async serving(): Promise<void> {
    await until(
      async () => (await this.word("srvr")).includes("Mode:"),
      `ZooKeeper serves at ${this.address}`,
      30_000,
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${readFileSync(join(this.#folder, "zookeeper.log"), "utf8").slice(-2000)}`);
    });
  }

  async isLeader(): Promise<boolean> {
    return (await this.word("srvr")).includes("Mode: leader");
  }

  /** One of its four-letter words; "" where it does not answer. */
  word(word: string): Promise<string> {
    return new Promise((done) => {
      let text = "";
      const socket = connect({ host: "127.0.0.1", port: this.port }, () => socket.write(word));
      socket.setTimeout(500, () => socket.destroy());
      socket.on("data", (chunk) => (text += chunk.toString()));
      socket.on("error", () => {});
      socket.on("close", () => done(text));
    });
  }

  signal(signal: "SIGSTOP" | "SIGCONT"): void {
    this.#child?.kill(signal);
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    this.#child = null;
    const ended = new Promise<void>((done) => child.once("exit", () => done()));
    child.kill("SIGKILL");
    await ended;
  }

  /** Removes everything it has stored; only while it is down. */
  wipe(): void {
    rmSync(join(this.#folder, "data", "version-2"), { recursive: true, force: true });
  }
}

export interface EnsembleUnderTest {
  readonly servers: readonly ZooKeeperServer[];
  /** host:port of all, with commas. */
  readonly addresses: string;
  stop(): Promise<void>;
}

/** Starts one server, or an ensemble of several, and waits until all serve. */
export async function startZooKeeper({
  servers: count = 1,
  tickMs = 500,
  extra = "",
} = {}): Promise<EnsembleUnderTest> {
  const ports = await Promise.all(Array.from({ length: count * 3 }, () => freePort()));
  const servers = Array.from({ length: count }, (_, index) => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, "data"));
    writeFileSync(join(folder, "data", "myid"), String(index + 1));
    writeFileSync(
      join(folder, "log4j.properties"),
      `log4j.rootLogger=INFO, F\nlog4j.appender.F=org.apache.log4j.FileAppender\nlog4j.appender.F.File=${folder}/zookeeper.log\nlog4j.appender.F.layout=org.apache.log4j.PatternLayout\nlog4j.appender.F.layout.ConversionPattern=%d %p %m%n\n`,
    );
    writeFileSync(join(folder, "zookeeper.log"), "");
    const ensemble = Array.from(
      { length: count },
      (_unused, other) =>
        `server.${other + 1}=127.0.0.1:${ports[count + other * 2]}:${ports[count + other * 2 + 1]};127.0.0.1:${ports[other]}`,
    );
    writeFileSync(
      join(folder, "zoo.cfg"),
      [
        `tickTime=${tickMs}`,
        "initLimit=10",
        "syncLimit=4",
        `dataDir=${folder}/data`,
        "admin.enableServer=false",
        "4lw.commands.whitelist=ruok,srvr,cons,mntr,dump,wchs",
        "maxClientCnxns=0",
        "minSessionTimeout=1000",
        "maxSessionTimeout=60000",
        "forceSync=no",
        ...(count === 1
          ? [`clientPortAddress=127.0.0.1`, `clientPort=${ports[0]}`]
          : ["standaloneEnabled=false", ...ensemble]),
        extra,
        "",
      ].join("\n"),
    );
    return new ZooKeeperServer(folder, ports[index]!);
  });
  for (const server of servers) server.start();
  for (const server of servers) await server.serving();
  return {
    servers,
    addresses: servers.map(({ address }) => address).join(","),
    stop: async () => {
      for (const server of servers) {
        server.signal("SIGCONT");
        await server.kill();
      }
    },
  };
}
