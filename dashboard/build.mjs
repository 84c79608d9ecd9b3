/** Builds the dashboard into one file that needs nothing else: dist/dashboard.html. */
import { readFile, writeFile, mkdir } from "node:fs/promises";
import { build } from "esbuild";

const here = new URL("./", import.meta.url);
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
