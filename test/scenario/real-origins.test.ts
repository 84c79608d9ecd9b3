/**
 * Real servers as origins: each closes its connections after a few requests, as servers do, often just when the next
 * request is on its way. Every GET gets its answer, also while the server takes up new settings.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { Agent } from "node:http";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { ask } from "../support/client.ts";
import { endAll, startMember, temporaryFolder, until } from "../support/member.ts";
import { freePort } from "../support/nginx.ts";

interface RealServer {
  readonly command: string;
  /** Its arguments, and the signal by which it takes up new settings while it answers; null where it has none. */
  readonly prepare: (folder: string, port: number) => { readonly parameters: readonly string[] };
  readonly reload: NodeJS.Signals | null;
}

const servers: Readonly<Record<string, RealServer>> = {
  nginx: {
    command: "nginx",
    prepare: (folder, port) => {
      writeFileSync(
        join(folder, "nginx.conf"),
        `daemon off; pid ${folder}/pid; error_log ${folder}/error.log; worker_processes 2; user root;
events { worker_connections 512; }
http { access_log off; keepalive_requests 3; client_body_temp_path ${folder}/b; proxy_temp_path ${folder}/p; fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  server { listen 127.0.0.1:${port} backlog=511; location / { root ${folder}/files; add_header Cache-Control no-store; } } }`,
      );
      return { parameters: ["-p", folder, "-c", join(folder, "nginx.conf")] };
    },
    reload: "SIGHUP",
  },
  "Apache httpd": {
    command: "apache2",
    prepare: (folder, port) => {
      writeFileSync(
        join(folder, "httpd.conf"),
        `ServerName localhost
Listen 127.0.0.1:${port}
PidFile ${folder}/pid
ErrorLog ${folder}/error.log
DefaultRuntimeDir ${folder}
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule headers_module /usr/lib/apache2/modules/mod_headers.so
DocumentRoot ${folder}/files
Header set Cache-Control no-store
KeepAlive On
MaxKeepAliveRequests 3
`,
      );
      return { parameters: ["-f", join(folder, "httpd.conf"), "-D", "FOREGROUND"] };
    },
    reload: "SIGUSR1",
  },
  "Python's http.server": {
    command: "python3",
    prepare: (folder, port) => {
      writeFileSync(
        join(folder, "server.py"),
        `import http.server
class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def __init__(self, *given): super().__init__(*given, directory="${folder}/files")
    def handle_one_request(self):
        self.served = getattr(self, "served", 0) + 1
        super().handle_one_request()
        if self.served == 3: self.close_connection = True
    def log_message(self, *given): pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
Server(("127.0.0.1", ${port}), Handler).serve_forever()`,
      );
      return { parameters: [join(folder, "server.py")] };
    },
    reload: null,
  },
  Node: {
    command: process.execPath,
    prepare: (folder, port) => {
      writeFileSync(
        join(folder, "server.cjs"),
        `const fs=require("fs");const server=require("http").createServer((q,r)=>{r.setHeader("cache-control","no-store");r.end(fs.readFileSync("${folder}/files"+q.url.split("?")[0]))});server.maxRequestsPerSocket=3;server.keepAliveTimeout=5;server.listen(${port},"127.0.0.1")`,
      );
      return { parameters: [join(folder, "server.cjs")] };
    },
    reload: null,
  },
};

/** Ends a server and resolves when it has gone. */
async function end(child: ChildProcess): Promise<void> {
  const gone = new Promise((done) => child.once("exit", done));
  child.kill("SIGTERM");
  await gone;
}
afterAll(endAll);

const sizes = [0, 1, 1000, 70_000];

for (const [name, { command, prepare, reload }] of Object.entries(servers)) {
  const missing = spawnSync(command, ["-v"]).error !== undefined;
  if (missing && process.env["CI"] === "true")
    throw new Error(`${command} is missing: it is a real origin of the tests`);
  // The one is busy while another waits for its server to take up its settings.
  it.skipIf(missing).concurrent(
    `${name}: no GET fails, and every content is whole, however often it closes connections`,
    async () => {
      const folder = temporaryFolder();
      mkdirSync(join(folder, "files"));
      for (const size of sizes) writeFileSync(join(folder, "files", String(size)), "y".repeat(size));
      const port = await freePort();
      const child = spawn(command, [...prepare(folder, port).parameters], { stdio: "ignore" });
      try {
        const url = `http://127.0.0.1:${port}`;
        await until(async () => (await fetch(`${url}/1`).catch(() => null))?.status === 200, `${name} answers`);
        const member = await startMember(["--origin", url]);
        const agent = new Agent({ keepAlive: true, maxSockets: 8 });
        const wrong: string[] = [];
        let next = 0;
        await Promise.all(
          Array.from({ length: 8 }, async () => {
            while (next < 10_000) {
              const index = next++;
              if (reload !== null && index % 500 === 250) child.kill(reload);
              const size = sizes[index % sizes.length]!;
              const { status, body } = await ask(member.port, `/${size}?${index}`, { agent });
              if (status !== 200 || body.length !== size)
                wrong.push(`${index}: ${status}, ${body.length} of ${size} bytes`);
            }
          }),
        );
        agent.destroy();
        expect(wrong).toEqual([]);
        await member.stop();
      } finally {
        await end(child);
      }
    },
    180_000,
  );
}
