// src/messages.ts
var WINDOW = 1024 * 1024;
var CREDIT = WINDOW / 4;
var NAME = /^[a-z0-9](?:[a-z0-9-]{0,28}[a-z0-9])?$/;

// src/preview.ts
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

// src/host.ts
var HostError = class extends Error {
  constructor(message, detail = "") {
    super(message);
    this.detail = detail;
  }
  detail;
  name = "HostError";
};
var STAGES = { python: [0.05, 0.1], packages: [0.15, 0.8], app: [0.85, 0.95] };
var STOP_WITHIN = 5e3;
async function host(options) {
  const script = new URL(options.worker ?? new URL("./worker.js", import.meta.url), document.baseURI);
  const worker = new Worker(script, { type: "module", name: `portico ${options.app}` });
  let served;
  try {
    const starting = started(worker, script, options);
    const preview = await Promise.race([Preview.open(options.preview ?? "portico-preview/"), starting.then(never)]);
    const [outcome, under] = await Promise.all([
      starting,
      preview.serve(options.name ?? "app", given(worker, starting)).then((one) => served = one)
    ]);
    const { frame } = options;
    if (frame) {
      frame.addEventListener("load", () => explainWebSockets(frame));
      frame.src = new URL((options.path ?? "").replace(/^\/+/, ""), under.url).href;
    }
    const close = async () => {
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
function never() {
  return new Promise(() => void 0);
}
function given(worker, starting) {
  return (head, port) => {
    const message = { t: "request", head };
    starting.then(
      () => worker.postMessage(message, [port]),
      () => port.close()
    );
  };
}
function started(worker, script, options) {
  const absolute = (url) => new URL(url, document.baseURI).href;
  const pyodide = absolute(options.pyodide);
  const start = {
    t: "start",
    pyodide: pyodide.endsWith("/") ? pyodide : `${pyodide}/`,
    lockFile: options.lockFile === void 0 ? null : absolute(options.lockFile),
    packages: options.packages ?? [],
    install: options.install ?? [],
    files: options.files,
    app: options.app,
    chat: options.chat ?? false
  };
  const steps = { python: 0, packages: 0, app: 0 };
  const progress = (stage, text) => {
    const [from, to] = STAGES[stage];
    options.onProgress?.({ stage, text, done: to - (to - from) / 2 ** steps[stage]++ });
  };
  return new Promise((resolve, reject) => {
    worker.addEventListener("error", (event) => {
      reject(new HostError(event.message || `The worker could not be loaded from ${script.href}.`));
    });
    worker.addEventListener("message", ({ data }) => {
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
function stopped(worker) {
  return new Promise((resolve) => {
    const late = setTimeout(resolve, STOP_WITHIN);
    worker.addEventListener("message", ({ data }) => {
      if (data.t === "stopped") {
        clearTimeout(late);
        resolve();
      }
    });
    const message = { t: "stop" };
    worker.postMessage(message);
  });
}
var NO_WEBSOCKETS = "A WebSocket cannot reach an app that is previewed in this browser: service workers do not see WebSockets. Serve the app through a Jupyter server or a relay, where they work.";
function explainWebSockets(frame) {
  const inside = frame.contentWindow;
  try {
    if (!inside || inside.porticoExplains) return;
    inside.porticoExplains = true;
    const { host: here } = location;
    inside.WebSocket = new Proxy(inside.WebSocket, {
      construct(target, given2, maker) {
        if (new URL(String(given2[0]), inside.location.href).host === here) console.warn(NO_WEBSOCKETS);
        return Reflect.construct(target, given2, maker);
      }
    });
  } catch {
  }
}

// src/site.ts
var settings = JSON.parse(by("settings").textContent ?? "");
var decoder = new TextDecoder();
var encoder = new TextEncoder();
var hosted;
var printed = "";
var problems = 0;
function by(id) {
  return document.getElementById(id);
}
var KEPT = 1e5;
async function run() {
  by("failed").hidden = true;
  by("loading").hidden = false;
  try {
    hosted = await host({
      app: settings.app,
      chat: settings.chat,
      name: settings.name,
      files: await files(),
      pyodide: settings.pyodide,
      ...settings.lockFile === null ? {} : { lockFile: settings.lockFile },
      packages: settings.packages,
      install: settings.install.map((one) => one.startsWith("./") ? new URL(one, document.baseURI).href : one),
      frame: by("frame"),
      onProgress: ({ text, done }) => {
        by("stage").textContent = text;
        by("progress").value = done;
      },
      onOutput: (text, error) => {
        (error ? console.warn : console.log)(text);
        print(text);
      },
      onException: ({ doing, summary, detail }) => {
        console.error(`${doing}
${detail}`);
        problems += 1;
        print(`${doing}
${detail}`);
        by("said").textContent = `${problems === 1 ? "An exception" : `${problems} exceptions`}, the last: ${summary}`;
        by("said").classList.add("bad");
      }
    });
    by("loading").hidden = true;
    by("frame").hidden = false;
    by("restart").hidden = false;
    by("open").href = hosted.url.href;
    by("open").hidden = false;
    document.documentElement.dataset.state = "running";
  } catch (error) {
    fail(error instanceof Error ? error.message : String(error), error instanceof HostError ? error.detail : "");
  }
}
async function files() {
  const got = await Promise.all(
    settings.files.map(async (path) => {
      const answer = await fetch(new URL(`app/${path.split("/").map(encodeURIComponent).join("/")}`, document.baseURI));
      if (!answer.ok) throw new HostError(`The file ${path} of the app is missing here (${answer.status}).`);
      return [path, new Uint8Array(await answer.arrayBuffer())];
    })
  );
  return Object.fromEntries(got);
}
function fail(message, detail) {
  by("loading").hidden = true;
  by("frame").hidden = true;
  by("why").textContent = message;
  by("detail").textContent = detail;
  by("more").hidden = detail === "";
  by("failed").hidden = false;
  document.documentElement.dataset.state = "failed";
}
function print(text) {
  printed = `${printed}${text}
`.slice(-KEPT);
  by("output").textContent = printed;
  by("log").hidden = false;
}
async function restart() {
  by("frame").hidden = true;
  by("open").hidden = true;
  by("restart").hidden = true;
  document.documentElement.dataset.state = "loading";
  by("stage").textContent = "Stopping the app";
  by("progress").value = 0;
  by("loading").hidden = false;
  const last = hosted;
  hosted = void 0;
  await last?.close();
  await run();
}
async function show(path) {
  const listing = by("code");
  try {
    const bytes = (await files())[path] ?? encoder.encode("");
    listing.textContent = decoder.decode(bytes);
  } catch (error) {
    listing.textContent = String(error);
  }
  by("raw").href = `app/${path.split("/").map(encodeURIComponent).join("/")}`;
}
function openSource() {
  by("listing").showModal();
  void show(by("file").value);
}
var choice = by("file");
choice.append(...settings.files.map((path) => new Option(path, path)));
choice.hidden = settings.files.length < 2;
by("filename").textContent = settings.files[0] ?? "";
by("filename").hidden = !choice.hidden;
choice.addEventListener("change", () => void show(choice.value));
by("source").addEventListener("click", openSource);
by("close").addEventListener("click", () => by("listing").close());
by("again").addEventListener("click", () => void run());
by("restart").addEventListener("click", () => void restart());
void run();
