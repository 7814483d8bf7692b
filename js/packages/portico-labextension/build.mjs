// Builds into the folder that is the argument: labextension/, which `pip install portico` puts where JupyterLab and
// JupyterLite's build find it, and kernel.js. The service worker is put beside the former by pyproject.toml.
import { build } from "esbuild";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const [given] = process.argv.slice(2);
if (given === undefined) throw new Error("Name the folder to build into.");
const folder = resolve(given);
const common = {
  bundle: true,
  format: "iife",
  target: "es2022",
  charset: "utf8",
  logLevel: "warning",
  absWorkingDir: here,
  conditions: ["source"],
};

const extension = join(folder, "labextension");
await build({ ...common, entryPoints: { remoteEntry: "src/extension.ts" }, outdir: join(extension, "static") });
const value = { globalName: "porticoKernel", footer: { js: "porticoKernel.greet;" } };
await build({ ...common, ...value, entryPoints: { kernel: "src/kernel.ts" }, outdir: folder });

const { version, license } = JSON.parse(await readFile(join(here, "package.json"), "utf-8"));
const about = {
  name: "portico",
  version,
  description: "Previews of what kernels in the browser serve with Portico.",
  license,
  jupyterlab: { extension: true, _build: { load: "static/remoteEntry.js", extension: "./extension" } },
};
await mkdir(extension, { recursive: true });
await writeFile(join(extension, "package.json"), `${JSON.stringify(about, null, 2)}\n`);
const install = { packageManager: "python", packageName: "portico", uninstallInstructions: "pip uninstall portico" };
await writeFile(join(extension, "install.json"), `${JSON.stringify(install, null, 2)}\n`);
