// Run a Python program in Pyodide under Node: node run.mjs BUNDLE PROGRAM MOUNT PACKAGE...
// BUNDLE is a folder with Pyodide and a lock file; MOUNT becomes /repo; the packages are loaded, with their hashes checked.
import { readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [bundle, program, mount, ...packages] = process.argv.slice(2);
const folder = realpathSync(bundle) + "/";
const { loadPyodide } = await import(pathToFileURL(join(folder, "pyodide.mjs")));

const pyodide = await loadPyodide({
  indexURL: folder,
  packageCacheDir: folder,
  env: { HOME: "/home/pyodide", PYTHONDONTWRITEBYTECODE: "1" },
});
await pyodide.loadPackage(packages, { checkIntegrity: true, messageCallback: () => {} });
pyodide.FS.mkdirTree("/repo");
pyodide.FS.mount(pyodide.FS.filesystems.NODEFS, { root: realpathSync(mount) }, "/repo");
let status = 1;
try {
  status = (await pyodide.runPythonAsync(readFileSync(program, "utf-8"), { filename: program })) ?? 0;
} catch (error) {
  console.error(error.message);
}
process.exit(status);
