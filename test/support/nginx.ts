/** Debian's nginx as the real origin: serves a folder of real files, answers some locations in special ways. */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { temporaryFolder, until } from "./member.ts";

/** Where Debian's packages put their documentation: a real tree of real files. */
export const documentation = "/usr/share/doc";

export interface Nginx {
  readonly url: string;
  readonly port: number;
  /** The folder behind /files/. */
  readonly files: string;
  stop(): Promise<void>;
}

export const hasNginx: boolean = spawnSync("nginx", ["-v"]).status === 0;

export async function startNginx(): Promise<Nginx> {
  const folder = temporaryFolder();
  const files = join(folder, "files");
  mkdirSync(files);
  const port = await freePort();
  writeFileSync(
    join(folder, "nginx.conf"),
    `daemon off; pid ${folder}/pid; error_log ${folder}/error.log; worker_processes 1; user root;
events { worker_connections 2048; }
http {
  access_log off; types { text/html html htm; text/plain txt copyright; } default_type application/octet-stream;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/fastcgi; uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
  sendfile on; keepalive_requests 100000; keepalive_timeout 60s; client_max_body_size 0;
  server {
    listen 127.0.0.1:${port};
    location /files/ { alias ${files}/; add_header Cache-Control "public, max-age=600"; }
    location /doc/ { alias ${documentation}/; autoindex on; add_header Cache-Control "public, max-age=600"; }
    location /short/ { alias ${files}/; add_header Cache-Control "public, max-age=1"; }
    location /private/ { alias ${files}/; add_header Cache-Control "private, max-age=600"; }
    location /chunked/ { alias ${files}/; gzip on; gzip_proxied any; gzip_types *; gzip_min_length 1; add_header Cache-Control "public, max-age=600"; }
    location /echo { add_header Cache-Control "no-store"; return 200 "$request_method $content_length\\n"; }
  }
}
`,
  );
  if (!existsSync(documentation)) throw new Error(`${documentation} is missing`);
  const child: ChildProcess = spawn("nginx", ["-p", folder, "-c", join(folder, "nginx.conf")], { stdio: "ignore" });
  const ended = new Promise<void>((done) => child.once("exit", () => done()));
  await until(async () => (await fetch(`http://127.0.0.1:${port}/echo`)).status === 200, "nginx answers");
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    files,
    stop: async () => {
      child.kill("SIGTERM");
      await ended;
    },
  };
}

/** A port that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((done) => {
    const probe = createServer();
    probe.listen(0, "127.0.0.1", () => {
      const { port } = probe.address() as AddressInfo;
      probe.close(() => done(port));
    });
  });
}
