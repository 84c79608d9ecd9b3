/**
 * The servers under load: Gyre and its peers, each as its makers would set it up for one core and a cache in memory.
 */
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "..");
process.env.PATH = `${process.env.PATH}:/usr/sbin:/sbin`;
export const folder = mkdtempSync(join(tmpdir(), "gyre-bench-"));
/** Gyre's and nginx's own, each to a file, in the format that each has by default. */
const accessLogs = process.argv.includes("--access-log");
// varnishd and squid run as users of their own, and must be able to read it.
chmodSync(folder, 0o755);
const running = new Set();

export const serverCore = "0";
export const loadCore = "1";

export function installed(command) {
  return spawnSync("sh", ["-c", `command -v ${command}`]).status === 0;
}

export function freePort() {
  return new Promise((done) => {
    const probe = createServer();
    probe.listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => done(port));
    });
  });
}

/** Starts a command on one core. @returns the process; it is ended with the benchmark. */
export function pinned(core, command, parameters, options = {}) {
  const child = spawn("taskset", ["-c", core, command, ...parameters], { stdio: "ignore", cwd: folder, ...options });
  running.add(child);
  child.once("exit", () => running.delete(child));
  return child;
}

export async function answers(url, limitMs = 20_000) {
  const deadline = performance.now() + limitMs;
  for (;;) {
    try {
      const response = await fetch(url);
      await response.arrayBuffer();
      if (response.status === 200) return;
    } catch {
      // Not yet listening.
    }
    if (performance.now() > deadline) throw new Error(`${url} does not answer`);
    await new Promise((again) => setTimeout(again, 50));
  }
}

export async function stop(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((done) => child.once("exit", done));
  for (const pid of descendants(child.pid)) tryKill(pid, "SIGTERM");
  const timer = setTimeout(() => {
    for (const pid of descendants(child.pid)) tryKill(pid, "SIGKILL");
  }, 3000);
  await ended;
  clearTimeout(timer);
}

function tryKill(pid, signal) {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended by itself.
  }
}

/** A process and all that it has started. */
export function descendants(pid) {
  const parents = new Map();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "utf8");
      const [, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      parents.set(Number(name), Number(parent));
    } catch {
      // It ended while we looked.
    }
  }
  const found = [pid];
  for (let i = 0; i < found.length; i++)
    for (const [child, parent] of parents) if (parent === found[i]) found.push(child);
  return found;
}

/** CPU time of a process and its children so far, in ms. */
export function cpuMs(pid) {
  let ticks = 0;
  for (const one of descendants(pid)) {
    try {
      const stat = readFileSync(`/proc/${one}/stat`, "utf8");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      ticks += Number(fields[11]) + Number(fields[12]);
    } catch {
      // It ended while we looked.
    }
  }
  return ticks * 10;
}

export function certificate() {
  const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  spawnSync("openssl", [
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
    "-nodes",
    "-days",
    "2",
    "-subj",
    "/CN=localhost",
    "-keyout",
    key,
    "-out",
    cert,
  ]);
  writeFileSync(join(folder, "both.pem"), readFileSync(cert, "utf8") + readFileSync(key, "utf8"));
  return { cert, key, both: join(folder, "both.pem") };
}

/** Runs on the load's core: `/N…` is N bytes, fresh for an hour, or for its asker alone (`-private`). */
export async function startOrigin() {
  const port = await freePort();
  const file = join(folder, "origin.mjs");
  writeFileSync(
    file,
    `import { createServer } from "node:http";
const bodies = new Map();
createServer((request, response) => {
  const bytes = Number(/^\\/(\\d+)/.exec(request.url)?.[1] ?? 1024);
  let body = bodies.get(bytes);
  if (body === undefined) bodies.set(bytes, body = Buffer.alloc(bytes, "x"));
  response.writeHead(200, { "cache-control": request.url.endsWith("-private") ? "private" : "public, max-age=3600", "content-type": "text/plain", "content-length": bytes, etag: '"' + bytes + '"', "last-modified": "Sun, 01 Nov 2026 10:00:00 GMT", ...(request.url.endsWith("-vary") ? { vary: "accept-encoding" } : {}) });
  response.end(body);
}).listen(${port}, "127.0.0.1");`,
  );
  const child = pinned(loadCore, process.execPath, [file]);
  await answers(`http://127.0.0.1:${port}/10`);
  return { port, child };
}

const gyreBase = (name) => [
  "start",
  "--name",
  name,
  "--peer",
  "127.0.0.1:0",
  "--admin",
  "127.0.0.1:0",
  ...(accessLogs ? ["--access-log-file", join(folder, `gyre-${name}-access.log`)] : ["--access-log", "off"]),
  "--memory",
  "1GB",
];
const environment = { ...process.env, GYRE_SECRET: "a secret for the benchmark", GYRE_RUN_DIR: join(folder, "run") };

export const servers = {
  gyre: {
    command: "node",
    start: async (origin, tls, flags = []) => {
      mkdirSync(join(folder, "run"), { recursive: true });
      const port = await freePort();
      const secure = tls === null ? [] : ["--tls-cert", tls.cert, "--tls-key", tls.key];
      const child = pinned(
        serverCore,
        process.execPath,
        [
          join(root, "bin/gyre"),
          ...gyreBase("m1"),
          "--origin",
          `http://127.0.0.1:${origin}`,
          "--listen",
          `127.0.0.1:${port}`,
          ...secure,
          ...flags,
        ],
        { env: environment },
      );
      return { port, child };
    },
  },
  nginx: {
    command: "nginx",
    start: async (origin, tls, more = "") => {
      const port = await freePort();
      const home = mkdtempSync(join(folder, "nginx-"));
      const secure = tls === null ? "" : `ssl_certificate ${tls.cert}; ssl_certificate_key ${tls.key};`;
      writeFileSync(
        join(home, "nginx.conf"),
        `daemon off; worker_processes 1; user root; pid ${home}/pid; error_log ${home}/error.log crit; events { worker_connections 4096; }
http { access_log ${accessLogs ? `${home}/access.log` : "off"}; sendfile on; tcp_nodelay on; keepalive_requests 1000000000; keepalive_timeout 600s; proxy_cache_path ${home}/cache levels=1:2 keys_zone=c:100m max_size=1g;
client_body_temp_path ${home}/b; proxy_temp_path ${home}/p; fastcgi_temp_path ${home}/f; uwsgi_temp_path ${home}/u; scgi_temp_path ${home}/s; open_file_cache max=20000 inactive=60s;
upstream o { server 127.0.0.1:${origin}; keepalive 64; }
server { listen 127.0.0.1:${port}${tls === null ? "" : tls.http2 === true ? " ssl http2" : " ssl"}; ${secure} location / { proxy_pass http://o; proxy_http_version 1.1; proxy_set_header Connection ""; ${more} proxy_cache c; } } }`,
      );
      return { port, child: pinned(serverCore, "nginx", ["-p", home, "-c", join(home, "nginx.conf")]) };
    },
  },
  haproxy: {
    command: "haproxy",
    start: async (origin, tls) => {
      const port = await freePort();
      const file = join(folder, `haproxy-${port}.cfg`);
      writeFileSync(
        file,
        `global
  maxconn 4096
  nbthread 1
  tune.bufsize 16384
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
cache c
  total-max-size 512
  max-object-size 400000
  max-age 3600
frontend f
  bind 127.0.0.1:${port}${tls === null ? "" : ` ssl crt ${tls.both}${tls.http2 === true ? " alpn h2" : ""}`}
  default_backend o
backend o
  http-request cache-use c
  http-response cache-store c
  server s 127.0.0.1:${origin}
`,
      );
      return { port, child: pinned(serverCore, "haproxy", ["-f", file, "-db"]) };
    },
  },
  varnish: {
    command: "varnishd",
    start: async (origin, tls) => {
      if (tls !== null) return null;
      const port = await freePort();
      const home = mkdtempSync(join(folder, "varnish-"));
      chmodSync(home, 0o755);
      return {
        port,
        child: pinned(serverCore, "varnishd", [
          "-F",
          "-n",
          home,
          "-a",
          `127.0.0.1:${port}`,
          "-b",
          `127.0.0.1:${origin}`,
          "-s",
          "malloc,1G",
          "-p",
          "thread_pools=1",
        ]),
      };
    },
  },
  squid: {
    command: "squid",
    start: async (origin, tls) => {
      if (tls !== null) return null;
      const port = await freePort();
      const home = mkdtempSync(join(folder, "squid-"));
      spawnSync("chmod", ["777", home]);
      writeFileSync(
        join(home, "squid.conf"),
        `http_port 127.0.0.1:${port} accel defaultsite=localhost no-vhost
cache_peer 127.0.0.1 parent ${origin} 0 no-query originserver
http_access allow all
cache_mem 1 GB
maximum_object_size_in_memory 1 MB
access_log none
cache_log ${home}/cache.log
pid_filename ${home}/squid.pid
coredump_dir ${home}
pinger_enable off
shutdown_lifetime 1 seconds
`,
      );
      return { port, child: pinned(serverCore, "squid", ["-N", "-f", join(home, "squid.conf")]) };
    },
  },
};

servers.trafficserver = {
  command: "traffic_server",
  start: async (origin, tls) => {
    if (tls !== null) return null;
    const port = await freePort();
    const home = mkdtempSync(join(folder, "ats-"));
    for (const name of ["etc", "var", "run", "log", "cache"]) mkdirSync(join(home, name));
    cpSync("/etc/trafficserver", join(home, "etc"), { recursive: true });
    const places = {
      sysconfdir: "etc",
      datadir: "cache",
      localstatedir: "var",
      runtimedir: "run",
      logdir: "log",
      cachedir: "cache",
    };
    const system = {
      prefix: "/usr",
      exec_prefix: "/usr",
      bindir: "/usr/bin",
      sbindir: "/usr/sbin",
      includedir: "/usr/include",
      libdir: "/usr/lib/trafficserver",
      libexecdir: "/usr/lib/trafficserver/modules",
    };
    writeFileSync(
      join(home, "runroot.yaml"),
      [...Object.entries(system), ...Object.entries(places).map(([key, name]) => [key, join(home, name)])]
        .map(([key, value]) => `${key}: ${value}\n`)
        .join(""),
    );
    writeFileSync(join(home, "etc/remap.config"), `map / http://127.0.0.1:${origin}/\n`);
    writeFileSync(join(home, "etc/storage.config"), `${join(home, "cache")} 256M\n`);
    writeFileSync(
      join(home, "etc/records.config"),
      `CONFIG proxy.config.http.server_ports STRING ${port}:ip-in=127.0.0.1
CONFIG proxy.config.exec_thread.autoconfig INT 0
CONFIG proxy.config.exec_thread.limit INT 1
CONFIG proxy.config.cache.ram_cache.size INT 1073741824
CONFIG proxy.config.log.logging_enabled INT 0
CONFIG proxy.config.admin.user_id STRING nobody
CONFIG proxy.config.http.keep_alive_no_activity_timeout_in INT 600
`,
    );
    spawnSync("chown", ["-R", "nobody", home]);
    return { port, child: pinned(serverCore, "traffic_server", [`--run-root=${home}`]) };
  },
};

/** Two members on the server's core; requests enter at the second for keys of the first. */
/** @param copies what --hot-copies gets: 0, or hops would not stay hops. */
export async function startPair(origin, copies = "0", more = []) {
  mkdirSync(join(folder, "run"), { recursive: true });
  const [listen, peer, admin] = await Promise.all([freePort(), freePort(), freePort()]);
  const common = ["--origin", `http://127.0.0.1:${origin}`, "--access-log", "off", "--memory", "1GB", ...more];
  common.push("--hot-copies", copies);
  const first = pinned(
    serverCore,
    process.execPath,
    [
      join(root, "bin/gyre"),
      "start",
      "--name",
      "m1",
      "--listen",
      "127.0.0.1:0",
      "--peer",
      `127.0.0.1:${peer}`,
      "--admin",
      `127.0.0.1:${admin}`,
      ...common,
    ],
    { env: environment },
  );
  await answers(`http://127.0.0.1:${admin}/readyz`);
  const second = pinned(
    serverCore,
    process.execPath,
    [
      join(root, "bin/gyre"),
      ...gyreBase("m2"),
      "--coordinator",
      `http://127.0.0.1:${peer}`,
      "--listen",
      `127.0.0.1:${listen}`,
      ...common.slice(0, 2),
      ...common.slice(-2),
    ],
    { env: environment },
  );
  await answers(`http://127.0.0.1:${listen}/1024`);
  for (let index = 0; ; index++) {
    const located = await (
      await fetch(
        `http://127.0.0.1:${admin}/api/locate?url=${encodeURIComponent(`http://127.0.0.1:${listen}/1024-${index}`)}`,
      )
    ).json();
    if (located.urls[0].owner === "m1") return { port: listen, path: `/1024-${index}`, children: [first, second] };
  }
}

export async function endAll() {
  await Promise.all([...running].map(stop));
  rmSync(folder, { recursive: true, force: true });
}
