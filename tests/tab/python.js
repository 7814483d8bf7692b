// Pyodide from a folder of this very server, with its packages' hashes checked: nothing comes from elsewhere.
export async function run(site, packages) {
  const { loadPyodide } = await import(site + "pyodide.mjs");
  const pyodide = await loadPyodide({ indexURL: site });
  await pyodide.loadPackage(packages, { checkIntegrity: true, messageCallback: () => {} });
  return async (code) => String((await pyodide.runPythonAsync(code)) ?? "");
}
