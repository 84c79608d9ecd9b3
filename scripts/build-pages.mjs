/**
 * What the program shows in browsers, made ready: the dashboard as one file that needs nothing else
 * (dist/dashboard.html), and the charts of `gyre eval`'s pages (dist/charts.js), so that who runs a cache installs
 * neither library.
 */
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { build } from "esbuild";

const here = new URL("../dashboard/", import.meta.url);
const dist = new URL("../dist/", here);

const { outputFiles } = await build({
  entryPoints: [new URL("main.ts", here).pathname],
  bundle: true,
  minify: true,
  write: false,
  format: "iife",
  target: "es2022",
  legalComments: "none",
  outdir: "out",
  logLevel: "warning",
});
const textOf = (ending) => outputFiles.find(({ path }) => path.endsWith(ending))?.text ?? "";
const page = (await readFile(new URL("index.html", here), "utf8"))
  // By functions: what is put in has dollar signs of its own.
  .replace("/*style*/", () => textOf(".css").trim())
  .replace("/*script*/", () => textOf(".js").trim().replaceAll("</script", "<\\/script"));
await mkdir(dist, { recursive: true });
await writeFile(new URL("dashboard.html", dist), page);
await copyFile(new URL("chart.umd.min.js", import.meta.resolve("chart.js")), new URL("charts.js", dist));
