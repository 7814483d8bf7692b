/**
 * The page's side of a preview: registers the service worker, and gives each request to where its app runs.
 *
 * Knows no Pyodide: `serve` takes a function that is given each request's head and port. `host.ts` gives them to a worker of
 * its own; another page (JupyterLite's, say) to wherever its Python is.
 */

import { type Ask, type Here, NAME, type RequestHead, type Stopped, type Who } from "./messages.ts";

/** Milliseconds to wait for a name that a page which is just being left may hold still. */
const NAME_WITHIN = 300;

/** How many names are tried: `app`, `app-2`, ... */
const MOST_NAMES = 50;

/** Why there can be no preview here, in plain words. */
export class PreviewError extends Error {
  override name = "PreviewError";
}

/** Takes one request: its head, and the port that all else about it goes over (`Exchanges.take`, in the end). */
export type Give = (head: RequestHead, port: MessagePort) => void;

export interface Served {
  /** The name it got: the one asked for, or with a number where another tab holds that. */
  name: string;
  /** Where the app is, with a slash at the end. Works in this browser, for as long as it is served. */
  url: URL;
  /** Serve it no more. Who asks from now on is told so. */
  stop(): void;
}

/** The apps of this page, by their URLs. One for all copies of this module that a page may have loaded. */
type Apps = Map<string, { instance: string; give: Give }>;
const APPS = Symbol.for("portico-preview");

export class Preview {
  private readonly apps = appsOfPage();

  private constructor(
    /** The URL that all apps are under. */
    readonly scope: URL,
    private readonly registration: ServiceWorkerRegistration,
  ) {}

  /**
   * Register the service worker in *folder*, the URL of where `service-worker.js` lies, which is its scope too.
   *
   * Throws `PreviewError` where a browser has no service workers, or the file is not there.
   */
  static async open(folder: string | URL): Promise<Preview> {
    const scope = new URL(folder, document.baseURI);
    if (!scope.pathname.endsWith("/")) scope.pathname += "/";
    if (!("serviceWorker" in navigator)) {
      throw new PreviewError(
        isSecureContext
          ? "This browser offers no service workers here. A private window may be the reason."
          : "Browsers run this over https only, or from this same computer (localhost).",
      );
    }
    let registration: ServiceWorkerRegistration;
    try {
      const script = new URL("service-worker.js", scope);
      registration = await navigator.serviceWorker.register(script, { scope: scope.href, updateViaCache: "none" });
    } catch (error) {
      throw new PreviewError(`The service worker in ${scope.href} cannot be registered: ${String(error)}`);
    }
    await activated(registration);
    return new Preview(scope, registration);
  }

  /** Serve an app as *name*, or as the nearest name with a number that no other tab holds. */
  async serve(name: string, give: Give): Promise<Served> {
    if (!NAME.test(name)) throw new PreviewError(`${JSON.stringify(name)} cannot be a name: use a-z, 0-9 and hyphens`);
    for (let number = 1; number <= MOST_NAMES; number += 1) {
      const tried = number === 1 ? name : `${name.slice(0, 27)}-${number}`;
      const url = new URL(`${tried}/`, this.scope);
      const release = this.apps.has(url.href) ? undefined : await held(`portico-preview ${url.href}`);
      if (release === undefined) continue;
      this.apps.set(url.href, { instance: crypto.randomUUID(), give });
      const stop = (): void => {
        if (!this.apps.delete(url.href)) return;
        const message: Stopped = { portico: "stopped", app: tried };
        this.registration.active?.postMessage(message);
        release();
      };
      return { name: tried, url, stop };
    }
    throw new PreviewError(`${MOST_NAMES} tabs run ${name} already`);
  }
}

function appsOfPage(): Apps {
  const page = globalThis as { [APPS]?: Apps };
  if (page[APPS] === undefined) {
    const apps: Apps = (page[APPS] = new Map());
    navigator.serviceWorker.addEventListener("message", (event) => hear(apps, event));
    navigator.serviceWorker.startMessages();
  }
  return page[APPS];
}

/** A service worker asks. Which of them, and so which scope is meant, its URL tells. */
function hear(apps: Apps, { data, ports, source }: MessageEvent): void {
  const message = data as Who | Ask | null;
  if (!(source instanceof ServiceWorker) || !message?.portico) return;
  const app = apps.get(new URL(`${message.app}/`, source.scriptURL).href);
  if (message.portico === "who") {
    const here: Here = { portico: "here", ask: message.ask, instance: app?.instance ?? "" };
    source.postMessage(here);
  } else if (message.portico === "request" && ports[0]) {
    if (app) app.give(message.head, ports[0]);
    else ports[0].close();
  }
}

/** Settles once the service worker takes requests. */
async function activated(registration: ServiceWorkerRegistration): Promise<void> {
  const worker = registration.installing ?? registration.waiting ?? registration.active;
  if (!worker) throw new PreviewError("the service worker was thrown away while it was installed");
  await new Promise<void>((resolve, reject) => {
    const look = (): void => {
      if (worker.state === "activated" || registration.active?.state === "activated") resolve();
      else if (worker.state === "redundant") reject(new PreviewError("the service worker could not be installed"));
    };
    worker.addEventListener("statechange", look);
    look();
  });
}

/** Hold a name against the other tabs of the origin, until what is returned is called or this tab ends. */
async function held(name: string): Promise<(() => void) | undefined> {
  if (!("locks" in navigator)) return () => undefined;
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(NAME_WITHIN);
    const holding = (): Promise<void> => new Promise((release) => resolve(release));
    navigator.locks.request(name, { signal }, holding).catch((error: unknown) => {
      if (error instanceof DOMException && ["TimeoutError", "AbortError"].includes(error.name)) resolve(undefined);
      else reject(error);
    });
  });
}
