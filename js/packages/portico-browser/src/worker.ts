/**
 * The dedicated worker that an app runs in: loads Pyodide, installs what is asked for, starts the app, takes its requests.
 *
 * `host.ts` speaks to it. What goes wrong is told in two parts: one plain sentence, and the detail (a traceback, say).
 */

import { Exchanges, type Python } from "./exchanges.ts";
import type { RequestHead } from "./messages.ts";

/** What `host.ts` sends first. URLs are absolute. */
export interface Start {
  t: "start";
  pyodide: string;
  lockFile: string | null;
  /** Names that the lock file knows. */
  packages: string[];
  /** Requirements and URLs of wheels for micropip. */
  install: string[];
  files: Record<string, string | Uint8Array>;
  app: string;
  chat: boolean;
}

export type ToWorker = Start | { t: "request"; head: RequestHead } | { t: "stop" };

export type Stage = "python" | "packages" | "app";

/** What became of the app's start, as `portico.tab.bridge` tells it. */
export interface Started {
  /** `app` or `chat`. */
  kind: string;
  how: string;
  models: string[];
}

export type FromWorker =
  | { t: "progress"; stage: Stage; text: string }
  | { t: "started"; started: Started }
  | { t: "failed"; message: string; detail: string }
  | { t: "output"; text: string; error: boolean }
  /** An exception that left the app while it was *doing* something (`GET /hello`). */
  | { t: "exception"; doing: string; summary: string; detail: string }
  | { t: "stopped" };

/** As much of Pyodide as is used here. */
interface Pyodide {
  loadPackage(names: string[], options: { messageCallback: (text: string) => void; checkIntegrity: boolean }): Promise<unknown>;
  loadedPackages: Record<string, string>;
  pyimport(name: string): any;
  toPy(value: unknown): any;
  FS: { mkdirTree(path: string): void; writeFile(path: string, data: string | Uint8Array): void };
}

class Failure extends Error {
  constructor(
    message: string,
    readonly detail: string,
  ) {
    super(message);
  }
}

const HOME = "/home/pyodide/app";

const scope = self as unknown as DedicatedWorkerGlobalScope;
const tell = (message: FromWorker): void => scope.postMessage(message);

/** The app that runs, a `Bridge` of Python's, and what it lets us call. */
let running: any;
let python: Python;
const exchanges = new Exchanges({
  open: (...request) => python.open(...request),
  data: (id, bytes, fin) => python.data(id, bytes, fin),
  gone: (id) => python.gone(id),
  writable: (id) => python.writable(id),
});

scope.onmessage = ({ data, ports }: MessageEvent<ToWorker>) => {
  switch (data.t) {
    case "start":
      start(data).then(
        (started) => tell({ t: "started", started }),
        (error: unknown) =>
          tell({
            t: "failed",
            message: error instanceof Error ? error.message : String(error),
            detail: error instanceof Failure ? error.detail : "",
          }),
      );
      break;
    case "request":
      exchanges.take(data.head, ports[0] as MessagePort);
      break;
    case "stop":
      void Promise.resolve(running?.stop()).finally(() => {
        exchanges.close();
        tell({ t: "stopped" });
      });
      break;
  }
};

async function start(asked: Start): Promise<Started> {
  const pyodide = await load(asked);
  await install(pyodide, asked.install);
  tell({ t: "progress", stage: "app", text: "Starting the app" });
  for (const [path, content] of Object.entries(asked.files)) {
    const full = `${HOME}/${path}`;
    pyodide.FS.mkdirTree(full.slice(0, full.lastIndexOf("/")));
    pyodide.FS.writeFile(full, content);
  }
  let module: any;
  try {
    module = pyodide.pyimport("portico.tab.bridge");
  } catch (error) {
    throw new Failure("Portico is not among the packages that were installed, or is an older one.", String(error));
  }
  const report = (doing: string, summary: string, detail: string): void =>
    tell({ t: "exception", doing, summary, detail });
  const told: string = await module.start(exchanges, asked.app, HOME, asked.chat, report);
  const outcome = JSON.parse(told) as (Started & { error?: undefined }) | { error: string; detail: string };
  if (outcome.error !== undefined) throw new Failure(outcome.error, outcome.detail);
  running = module.running();
  python = running.expose();
  return outcome;
}

async function load({ pyodide, lockFile, packages }: Start): Promise<Pyodide> {
  tell({ t: "progress", stage: "python", text: "Loading Python" });
  if (typeof WebAssembly === "undefined") throw new Failure("This browser cannot run WebAssembly, which Python needs.", "");
  const unreachable = `Python could not be loaded from ${pyodide}. Is the address right, and can it be reached?`;
  let loadPyodide: (options: Record<string, unknown>) => Promise<Pyodide>;
  try {
    ({ loadPyodide } = await import(/* @vite-ignore */ `${pyodide}pyodide.mjs`));
  } catch (error) {
    throw new Failure(unreachable, String(error));
  }
  try {
    const loaded = await loadPyodide({
      indexURL: pyodide,
      ...(lockFile === null ? {} : { lockFileURL: lockFile }),
      packages, // fetched while Python itself is
      stdout: (text: string) => progressOr(text, false),
      stderr: (text: string) => progressOr(text, true),
    });
    installing = false;
    // It goes on without a package that it could not load, and only prints so.
    const there = new Set(Object.keys(loaded.loadedPackages).map(canonical));
    const absent = packages.filter((name) => !there.has(canonical(name)));
    if (absent.length > 0) {
      const which = absent.length === 1 ? `The package ${absent[0]}` : `The packages ${absent.join(", ")}`;
      throw new Failure(`${which} could not be loaded. Is the file there, and unchanged?`, complaints.join("\n"));
    }
    return loaded;
  } catch (error) {
    throw error instanceof Failure ? error : new Failure(unreachable, String(error));
  }
}

/** A package's name as an index has it (PEP 503). */
function canonical(name: string): string {
  return name.toLowerCase().replace(/[-_.]+/g, "-");
}

let installing = true;
const complaints: string[] = [];

/** Pyodide tells of packages on stdout while it loads them, and what is wrong with one on stderr. */
function progressOr(text: string, error: boolean): void {
  if (!installing) tell({ t: "output", text, error });
  else if (error) complaints.push(text);
  else if (/^(Loading|Loaded) /.test(text)) tell({ t: "progress", stage: "packages", text });
}

async function install(pyodide: Pyodide, wanted: string[]): Promise<void> {
  if (wanted.length === 0) return;
  tell({ t: "progress", stage: "packages", text: "Loading the installer" });
  try {
    await pyodide.loadPackage(["micropip"], { messageCallback: () => undefined, checkIntegrity: true });
  } catch (error) {
    throw new Failure("The installer of packages (micropip) could not be loaded.", String(error));
  }
  const micropip = pyodide.pyimport("micropip");
  const named = wanted.map((one) => (one.includes("/") ? (one.split("/").pop() ?? one) : one)).join(", ");
  tell({ t: "progress", stage: "packages", text: `Installing ${named}` });
  try {
    const list = pyodide.toPy(wanted);
    await micropip.install(list);
    list.destroy();
  } catch (error) {
    throw new Failure(`A package could not be installed: ${lastLine(String(error))}`, String(error));
  } finally {
    micropip.destroy();
  }
}

function lastLine(text: string): string {
  return text.trim().split("\n").pop() ?? text;
}
