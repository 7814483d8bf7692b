/**
 * `host`: an app in this page. Pyodide in a worker, the app started in it, its pages in a frame.
 *
 * The app's requests come by the service worker (`preview.ts`), and go to the worker (`worker.ts`) without another turn here.
 */

import { type Give, Preview, type Served } from "./preview.ts";
import type { FromWorker, Stage, Start, Started, ToWorker } from "./worker.ts";

export interface HostOptions {
  /** The app, as uvicorn has it: `myapp:app`. Without a colon, the module's app or its models. */
  app: string;
  /** Files to put beside each other, the app's own among them. */
  files: Record<string, string | Uint8Array>;
  /** The folder that Pyodide is loaded from, as a URL. */
  pyodide: string | URL;
  /** A lock file other than that folder's. Wheels are looked for beside it. */
  lockFile?: string | URL;
  /** Packages of the lock file to load; what they need comes too. Their hashes are checked. */
  packages?: string[];
  /** Requirements and URLs of wheels that micropip installs besides. Portico must be among one or the other. */
  install?: string[];
  /** Whether the app is a function, or several, to be served as chat models. */
  chat?: boolean;
  /** What the app is called in its URL. A number is added where another tab has the name. */
  name?: string;
  /** The folder of the service worker, as a URL. */
  preview?: string | URL;
  /** The URL of `worker.js`. */
  worker?: string | URL;
  /** Where to show it. Without, nothing is shown: see `Hosted.url`. */
  frame?: HTMLIFrameElement;
  /** What in the app to show first. */
  path?: string;
  /** Told how far it is: `done` grows from 0 to 1. */
  onProgress?: (progress: Progress) => void;
  /** Told what the app prints. */
  onOutput?: (text: string, error: boolean) => void;
  /** Told of exceptions that leave the app, which its visitors do not see. */
  onException?: (exception: AppException) => void;
}

export interface Progress {
  stage: Stage;
  /** In plain words, such as "Loading Python". */
  text: string;
  done: number;
}

export interface AppException {
  /** Such as `GET /hello`. */
  doing: string;
  /** Its last line. */
  summary: string;
  /** The traceback. */
  detail: string;
}

export interface Hosted {
  name: string;
  /** Where the app is, with a slash at the end: in this browser, for as long as this page is open. */
  url: URL;
  /** What was found to be served. */
  started: Started;
  /** Stop the app, its shutdown first, and end its worker. */
  close(): Promise<void>;
}

/** What kept an app from being hosted: `message` is a plain sentence, `detail` a traceback or the like. */
export class HostError extends Error {
  override name = "HostError";

  constructor(
    message: string,
    readonly detail = "",
  ) {
    super(message);
  }
}

/** How far a stage's begin is, and how far its steps go. */
const STAGES: Record<Stage, [from: number, to: number]> = { python: [0.05, 0.1], packages: [0.15, 0.8], app: [0.85, 0.95] };

/** Milliseconds that an app's shutdown may take. */
const STOP_WITHIN = 5000;

/** Load, install, start, show. Throws `HostError` or `PreviewError`, in plain words. */
export async function host(options: HostOptions): Promise<Hosted> {
  const script = new URL(options.worker ?? new URL("./worker.js", import.meta.url), document.baseURI);
  const worker = new Worker(script, { type: "module", name: `portico ${options.app}` });
  let served: Served | undefined;
  try {
    const starting = started(worker, script, options);
    const preview = await Promise.race([Preview.open(options.preview ?? "portico-preview/"), starting.then(never)]);
    const [outcome, under] = await Promise.all([
      starting,
      preview.serve(options.name ?? "app", given(worker, starting)).then((one) => (served = one)),
    ]);
    const { frame } = options;
    if (frame) {
      frame.addEventListener("load", () => explainWebSockets(frame));
      frame.src = new URL((options.path ?? "").replace(/^\/+/, ""), under.url).href;
    }
    const close = async (): Promise<void> => {
      under.stop();
      await stopped(worker);
      worker.terminate();
    };
    return { name: under.name, url: under.url, started: outcome, close };
  } catch (error) {
    served?.stop();
    worker.terminate();
    throw error;
  }
}

/** Only its failing counts. */
function never(): Promise<never> {
  return new Promise(() => undefined);
}

/** What gives requests to the worker: those that come before the app has started wait for it. */
function given(worker: Worker, starting: Promise<Started>): Give {
  return (head, port) => {
    const message: ToWorker = { t: "request", head };
    starting.then(
      () => worker.postMessage(message, [port]),
      () => port.close(),
    );
  };
}

function started(worker: Worker, script: URL, options: HostOptions): Promise<Started> {
  const absolute = (url: string | URL): string => new URL(url, document.baseURI).href;
  const pyodide = absolute(options.pyodide);
  const start: Start = {
    t: "start",
    pyodide: pyodide.endsWith("/") ? pyodide : `${pyodide}/`,
    lockFile: options.lockFile === undefined ? null : absolute(options.lockFile),
    packages: options.packages ?? [],
    install: options.install ?? [],
    files: options.files,
    app: options.app,
    chat: options.chat ?? false,
  };
  const steps: Record<Stage, number> = { python: 0, packages: 0, app: 0 };
  const progress = (stage: Stage, text: string): void => {
    const [from, to] = STAGES[stage];
    // Nobody knows how many steps there will be: each goes half of the way that is left.
    options.onProgress?.({ stage, text, done: to - (to - from) / 2 ** steps[stage]++ });
  };
  return new Promise((resolve, reject) => {
    worker.addEventListener("error", (event) => {
      reject(new HostError(event.message || `The worker could not be loaded from ${script.href}.`));
    });
    worker.addEventListener("message", ({ data }: MessageEvent<FromWorker>) => {
      switch (data.t) {
        case "progress":
          progress(data.stage, data.text);
          break;
        case "started":
          options.onProgress?.({ stage: "app", text: "The app runs", done: 1 });
          resolve(data.started);
          break;
        case "failed":
          reject(new HostError(data.message, data.detail));
          break;
        case "output":
          options.onOutput?.(data.text, data.error);
          break;
        case "exception":
          options.onException?.({ doing: data.doing, summary: data.summary, detail: data.detail });
          break;
      }
    });
    worker.postMessage(start);
  });
}

function stopped(worker: Worker): Promise<void> {
  return new Promise((resolve) => {
    const late = setTimeout(resolve, STOP_WITHIN);
    worker.addEventListener("message", ({ data }: MessageEvent<FromWorker>) => {
      if (data.t === "stopped") {
        clearTimeout(late);
        resolve();
      }
    });
    const message: ToWorker = { t: "stop" };
    worker.postMessage(message);
  });
}

const NO_WEBSOCKETS =
  "A WebSocket cannot reach an app that is previewed in this browser: service workers do not see WebSockets. " +
  "Serve the app through a Jupyter server or a relay, where they work.";

/** Say in the console why the app's WebSockets fail. The app's pages are left as they are. */
function explainWebSockets(frame: HTMLIFrameElement): void {
  const inside = frame.contentWindow as (Window & typeof globalThis & { porticoExplains?: true }) | null;
  try {
    if (!inside || inside.porticoExplains) return;
    inside.porticoExplains = true;
    const { host: here } = location;
    inside.WebSocket = new Proxy(inside.WebSocket, {
      construct(target, given, maker) {
        if (new URL(String(given[0]), inside.location.href).host === here) console.warn(NO_WEBSOCKETS);
        return Reflect.construct(target, given, maker) as WebSocket;
      },
    });
  } catch {
    // the frame shows another site by now
  }
}
