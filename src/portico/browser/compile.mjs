// Compile a bundle's Python, with pyodide-build inside Pyodide under Node: node compile.mjs PYODIDE BUNDLE WHEEL...
// PYODIDE is a folder of Pyodide, whose Python the bytecode is for; the wheels are pyodide-build's and what it needs.
import { readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [pyodide, bundle, ...wheels] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(join(realpathSync(pyodide), "pyodide.mjs")));
const python = await loadPyodide({ indexURL: realpathSync(pyodide) + "/" });
for (const wheel of wheels) python.unpackArchive(new Uint8Array(readFileSync(wheel)), "wheel", { extractDir: "/compiler" });
python.FS.mkdirTree("/bundle");
python.FS.mount(python.FS.filesystems.NODEFS, { root: realpathSync(bundle) }, "/bundle");
try {
  await python.runPythonAsync(`
import py_compile, sys, zipfile
from pathlib import Path

sys.path.insert(0, "/compiler")
from pyodide_build.cli.py_compile import main

def compile_beside(wheel):
    """Keep the source, and put bytecode beside it that is taken unchecked: unpacking gives files another date."""
    made, module = wheel.with_suffix(".made"), Path("/tmp/module.py")
    with zipfile.ZipFile(wheel) as given, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as taken:
        for name in given.namelist():
            taken.writestr(name, given.read(name))
            if name.endswith(".py"):
                module.write_bytes(given.read(name))
                unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
                path = py_compile.compile(str(module), dfile=name, doraise=True, invalidation_mode=unchecked)
                where = Path(name)
                taken.writestr(f"{where.parent}/__pycache__/{where.stem}.{sys.implementation.cache_tag}.pyc", Path(path).read_bytes())
    made.replace(wheel)

# anyio reads its own source to find out where its names are
for wheel in Path("/bundle").glob("anyio-*.whl"):
    compile_beside(wheel)
main(["/bundle", "--silent", "--exclude", "anyio-"], standalone_mode=False)
for path in Path("/bundle").iterdir():
    path.chmod(0o644)
`);
} catch (error) {
  console.error(error.message); // Node would print a line of Pyodide's own first, which is its whole source
  process.exit(1);
}
process.exit(0);
