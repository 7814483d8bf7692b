"use strict";
(() => {
  // ../portico-browser/src/messages.ts
  var WINDOW = 1024 * 1024;
  var CREDIT = WINDOW / 4;
  var NAME = /^[a-z0-9](?:[a-z0-9-]{0,28}[a-z0-9])?$/;

  // ../portico-browser/src/preview.ts
  var NAME_WITHIN = 300;
  var MOST_NAMES = 50;
  var PreviewError = class extends Error {
    name = "PreviewError";
  };
  var APPS = /* @__PURE__ */ Symbol.for("portico-preview");
  var Preview = class _Preview {
    constructor(scope, registration) {
      this.scope = scope;
      this.registration = registration;
    }
    scope;
    registration;
    apps = appsOfPage();
    /**
     * Register the service worker in *folder*, the URL of where `service-worker.js` lies, which is its scope too.
     *
     * Throws `PreviewError` where a browser has no service workers, or the file is not there.
     */
    static async open(folder) {
      const scope = new URL(folder, document.baseURI);
      if (!scope.pathname.endsWith("/")) scope.pathname += "/";
      if (!("serviceWorker" in navigator)) {
        throw new PreviewError(
          isSecureContext ? "This browser offers no service workers here. A private window may be the reason." : "Browsers run this over https only, or from this same computer (localhost)."
        );
      }
      let registration;
      try {
        const script = new URL("service-worker.js", scope);
        registration = await navigator.serviceWorker.register(script, { scope: scope.href, updateViaCache: "none" });
      } catch (error) {
        throw new PreviewError(`The service worker in ${scope.href} cannot be registered: ${String(error)}`);
      }
      await activated(registration);
      return new _Preview(scope, registration);
    }
    /** Serve an app as *name*, or as the nearest name with a number that no other tab holds. */
    async serve(name, give) {
      if (!NAME.test(name)) throw new PreviewError(`${JSON.stringify(name)} cannot be a name: use a-z, 0-9 and hyphens`);
      for (let number = 1; number <= MOST_NAMES; number += 1) {
        const tried = number === 1 ? name : `${name.slice(0, 27)}-${number}`;
        const url = new URL(`${tried}/`, this.scope);
        const release = this.apps.has(url.href) ? void 0 : await held(`portico-preview ${url.href}`);
        if (release === void 0) continue;
        this.apps.set(url.href, { instance: crypto.randomUUID(), give });
        const stop = () => {
          if (!this.apps.delete(url.href)) return;
          const message = { portico: "stopped", app: tried };
          this.registration.active?.postMessage(message);
          release();
        };
        return { name: tried, url, stop };
      }
      throw new PreviewError(`${MOST_NAMES} tabs run ${name} already`);
    }
  };
  function appsOfPage() {
    const page = globalThis;
    if (page[APPS] === void 0) {
      const apps = page[APPS] = /* @__PURE__ */ new Map();
      navigator.serviceWorker.addEventListener("message", (event) => hear(apps, event));
      navigator.serviceWorker.startMessages();
    }
    return page[APPS];
  }
  function hear(apps, { data, ports, source }) {
    const message = data;
    if (!(source instanceof ServiceWorker) || !message?.portico) return;
    const app = apps.get(new URL(`${message.app}/`, source.scriptURL).href);
    if (message.portico === "who") {
      const here = { portico: "here", ask: message.ask, instance: app?.instance ?? "" };
      source.postMessage(here);
    } else if (message.portico === "request" && ports[0]) {
      if (app) app.give(message.head, ports[0]);
      else ports[0].close();
    }
  }
  async function activated(registration) {
    const worker = registration.installing ?? registration.waiting ?? registration.active;
    if (!worker) throw new PreviewError("the service worker was thrown away while it was installed");
    await new Promise((resolve, reject) => {
      const look = () => {
        if (worker.state === "activated" || registration.active?.state === "activated") resolve();
        else if (worker.state === "redundant") reject(new PreviewError("the service worker could not be installed"));
      };
      worker.addEventListener("statechange", look);
      look();
    });
  }
  async function held(name) {
    if (!("locks" in navigator)) return () => void 0;
    return new Promise((resolve, reject) => {
      const signal = AbortSignal.timeout(NAME_WITHIN);
      const holding = () => new Promise((release) => resolve(release));
      navigator.locks.request(name, { signal }, holding).catch((error) => {
        if (error instanceof DOMException && ["TimeoutError", "AbortError"].includes(error.name)) resolve(void 0);
        else reject(error);
      });
    });
  }

  // src/messages.ts
  var VERSION = 1;

  // src/page.ts
  function watchWorkers(greeted2) {
    globalThis.Worker = new Proxy(globalThis.Worker, {
      construct(target, given, maker) {
        const worker = Reflect.construct(target, given, maker);
        const ending = new AbortController();
        worker.addEventListener("message", ({ data, ports }) => {
          if (data?.portico === "kernel" && ports[0]) greeted2(data, ports[0], ending.signal);
        });
        const { terminate } = worker;
        worker.terminate = () => {
          terminate.call(worker);
          ending.abort();
        };
        return worker;
      }
    });
  }
  function welcome({ version }, port, ended, folder) {
    const tell = (message, transfer = []) => port.postMessage(message, transfer);
    if (version !== VERSION) {
      const which = version > VERSION ? "this site's Portico is older" : "the kernel's Portico is older";
      tell({ t: "failed", message: `The Portico of this site and the kernel's do not fit together: ${which}.` });
      return;
    }
    const shown = /* @__PURE__ */ new Map();
    const stop = (id) => {
      void shown.get(id)?.then(
        (served) => served.stop(),
        () => void 0
      );
      shown.delete(id);
    };
    const show = async (id, name) => {
      const preview = await Preview.open(folder);
      return preview.serve(name, (head, asked) => tell({ t: "request", id, head }, [asked]));
    };
    port.onmessage = ({ data }) => {
      if (data.t === "stop") {
        stop(data.id);
        return;
      }
      const { id, name } = data;
      const showing = show(id, name);
      shown.set(id, showing);
      showing.then(
        ({ url }) => tell({ t: "served", id, url: url.href }),
        (error) => tell({ t: "failed", id, message: error instanceof PreviewError ? error.message : String(error) })
      );
    };
    ended.addEventListener("abort", () => {
      for (const id of shown.keys()) stop(id);
      port.close();
    });
    tell({ t: "welcome" });
  }

  // src/extension.ts
  var NAME2 = "portico";
  var FOLDER = new URL("../preview/", document.currentScript.src);
  var IN_JUPYTERLITE = document.querySelector("[data-jupyter-lite-root]") !== null;
  var early = [];
  var greeted = (...greeting) => void early.push(greeting);
  if (IN_JUPYTERLITE) watchWorkers((...greeting) => greeted(...greeting));
  var plugin = {
    id: `${NAME2}:preview`,
    description: "Shows what kernels in the browser serve with Portico, through a service worker.",
    autoStart: true,
    activate: () => {
      greeted = (hello, port, ended) => welcome(hello, port, ended, FOLDER);
      for (const greeting of early.splice(0)) greeted(...greeting);
    }
  };
  var modules = { "./extension": { __esModule: true, default: plugin } };
  var containers = globalThis._JUPYTERLAB ??= {};
  containers[NAME2] = {
    init: () => void 0,
    get: (name) => Promise.resolve(() => modules[name])
  };
})();
