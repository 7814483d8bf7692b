// Builds into a copy of the repository, whose folder is the argument: labextension/, which `pip install portico` puts where
// JupyterLite's build finds it, and the kernel's script in the Python package. The service worker is put beside the former by
// pyproject.toml.
import { build } from "esbuild";
import { mkdir, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const [folder] = process.argv.slice(2);
if (folder === undefined) throw new Error("which folder?");
const root = resolve(here, folder);
const common = { bundle: true, format: "iife", target: "es2022", charset: "utf8", logLevel: "warning", absWorkingDir: here };
const extension = join(root, "labextension");

await build({ ...common, entryPoints: { remoteEntry: "src/extension.ts" }, outdir: join(extension, "static") });
const value = { globalName: "jupyterlite", footer: { js: "jupyterlite.greet;" } };
const python = join(root, "src", "portico", "browser");
await build({ ...common, ...value, entryPoints: { jupyterlite: "src/kernel.ts" }, outdir: python });

const about = {
  name: "portico",
  version: "0.1.0",
  description: "Previews of what kernels in the browser serve with Portico.",
  license: "BSD-3-Clause",
  jupyterlab: { extension: true, _build: { load: "static/remoteEntry.js", extension: "./extension" } },
};
await mkdir(extension, { recursive: true });
await writeFile(join(extension, "package.json"), `${JSON.stringify(about, null, 2)}\n`);
const install = { packageManager: "python", packageName: "portico", uninstallInstructions: "pip uninstall portico" };
await writeFile(join(extension, "install.json"), `${JSON.stringify(install, null, 2)}\n`);
