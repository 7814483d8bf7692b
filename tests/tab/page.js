// A page with Python in a worker. `start` loads Pyodide there; what it gives runs code, and resolves to its value as text.
// The worker is the page's own, wherever this file comes from: a page of another server may import it.
export async function start(packages = ["portico", "fastapi"], wanted = "worker") {
  const site = new URL("./", import.meta.url).href;
  if (wanted === "page") {
    const { run } = await import(site + "python.js");
    return run(site, packages);
  }
  const source = `
    import { run } from ${JSON.stringify(site + "python.js")};
    const running = run(${JSON.stringify(site)}, ${JSON.stringify(packages)});
    addEventListener("message", async ({ data: { id, code, plainly } }) => {
      try {
        postMessage({ id, value: await (await running)(code, plainly) });
      } catch (error) {
        postMessage({ id, error: String(error.message ?? error) });
      }
    });`;
  const worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })), { type: "module" });
  const waiting = new Map();
  let last = 0;
  worker.addEventListener("message", ({ data: { id, value, error } }) => {
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) resolve(value);
    else reject(new Error(error));
  });
  const run = (code, plainly) =>
    new Promise((resolve, reject) => {
      waiting.set(++last, { resolve, reject });
      worker.postMessage({ id: last, code, plainly });
    });
  run.end = () => worker.terminate();
  await run("None");
  return run;
}
