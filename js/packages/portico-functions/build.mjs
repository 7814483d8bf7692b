// Builds into the folder functions/ of the folder that is the argument: the one script and the one stylesheet of the page.
import { build } from "esbuild";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const [given] = process.argv.slice(2);
if (given === undefined) throw new Error("Name the folder to build into.");
await build({
  entryPoints: { page: "src/page.ts", style: "src/page.css" },
  outdir: join(resolve(given), "functions"),
  bundle: true,
  minify: true,
  format: "iife",
  target: ["es2022", "chrome111", "firefox113", "safari16.4"],
  charset: "utf8",
  legalComments: "none",
  logLevel: "warning",
  absWorkingDir: here,
  conditions: ["source"],
});
