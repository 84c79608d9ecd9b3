/** The dashboard's page: one file that needs nothing else, built from `dashboard/`. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { ServerResponse } from "node:http";

const file = new URL("../dashboard.html", import.meta.url);

interface Page {
  readonly bytes: Buffer;
  readonly policy: string;
}
let page: Page | null = null;

/** Sends the page, or says that it has not been built. It holds nothing of the cluster. */
export function givePage(response: ServerResponse): void {
  try {
    page ??= read();
  } catch {
    response.writeHead(404, { "content-type": "text/plain; charset=utf-8" });
    response.end("The dashboard has not been built: npm run build. The API is under /api/.\n");
    return;
  }
  response.writeHead(200, {
    // It is large: who asks for more of them without reading must begin anew.
    connection: "close",
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": page.policy,
    "cache-control": "no-cache",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
  });
  response.end(page.bytes);
}

/** Nothing but its own script and style runs, it talks to this port alone, and no other page may frame it. */
function read(): Page {
  const bytes = readFileSync(file);
  const text = bytes.toString("utf8");
  const scripts = [...text.matchAll(/<script[^>]*>([\s\S]*?)<\/script>/g)].map(([, script]) => hash(script!));
  return {
    bytes,
    policy: [
      "default-src 'none'",
      `script-src ${scripts.join(" ")}`,
      "style-src 'unsafe-inline'",
      "img-src data:",
      "connect-src 'self'",
      "form-action 'none'",
      "base-uri 'none'",
      "frame-ancestors 'none'",
    ].join("; "),
  };
}

function hash(text: string): string {
  return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
}
