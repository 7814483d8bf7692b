// Builds into dist/, what npm ships; and with a folder as an argument, into its site/, what `portico export` copies.
import { build } from "esbuild";
import { copyFile, mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const common = {
  bundle: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  logLevel: "warning",
  absWorkingDir: here,
  conditions: ["source"],
};

const [given] = process.argv.slice(2);
if (given === undefined) {
  const entries = ["index", "exchanges", "preview", "worker"].map((name) => `src/${name}.ts`);
  await build({ ...common, entryPoints: entries, outdir: "dist" });
  await build({ ...common, format: "iife", entryPoints: ["src/service-worker.ts"], outdir: "dist" });
} else {
  const folder = join(resolve(given), "site");
  await mkdir(folder, { recursive: true });
  await build({ ...common, entryPoints: { page: "src/site.ts", worker: "src/worker.ts" }, outdir: folder });
  await build({ ...common, format: "iife", entryPoints: ["src/service-worker.ts"], outdir: folder });
  await copyFile(join(here, "site", "index.html"), join(folder, "index.html"));
}
