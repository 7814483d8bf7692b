// Pyodide from a folder of this very server, with its packages' hashes checked: nothing comes from elsewhere.
export async function run(site, packages) {
  const { loadPyodide } = await import(site + "pyodide.mjs");
  const pyodide = await loadPyodide({ indexURL: site });
  await pyodide.loadPackage(packages, { checkIntegrity: true, messageCallback: () => {} });
  const evaluate = pyodide.runPython(`
    from pyodide.code import eval_code_async

    async def evaluate(code):
        return str(await eval_code_async(code, globals()))  # text here: what can be awaited, JavaScript would await

    evaluate`);
  // `plainly`: as a page's own script would, without that
  return async (code, plainly) => (plainly ? String(await pyodide.runPythonAsync(code)) : evaluate(code));
}
