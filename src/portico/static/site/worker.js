// src/cookies.ts
var MOST = 180;
var LONGEST = 4096;
var CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/;
var CookieJar = class {
  /** *now* gives milliseconds since 1970. */
  constructor(now = Date.now) {
    this.now = now;
  }
  now;
  cookies = /* @__PURE__ */ new Map();
  made = 0;
  /** The value of the Cookie header for a request, or "". */
  header(asked) {
    return [...this.cookies.values()].filter((cookie) => this.fits(cookie, asked)).sort((a, b) => b.path.length - a.path.length || a.made - b.made).map(({ name, value }) => name ? `${name}=${value}` : value).join("; ");
  }
  /** Keep what a Set-Cookie header says in the answer to *asked*, if it may be kept. */
  take(field, asked) {
    const [pair = "", ...attributes] = field.split(";");
    const cookie = this.read(pair, attributes, asked);
    if (cookie === void 0) return;
    const key = `${cookie.name};${cookie.path}`;
    if (cookie.expires <= this.now()) {
      this.cookies.delete(key);
      return;
    }
    cookie.made = this.cookies.get(key)?.made ?? cookie.made;
    this.cookies.set(key, cookie);
    if (this.cookies.size > MOST) {
      const oldest = [...this.cookies].reduce((a, b) => a[1].made <= b[1].made ? a : b);
      this.cookies.delete(oldest[0]);
    }
  }
  read(pair, attributes, asked) {
    const [name, value] = pair.includes("=") ? split(pair) : ["", pair.trim()];
    if (CONTROL.test(pair) || name.length + value.length > LONGEST || !name && !value) return void 0;
    const cookie = {
      name,
      value,
      path: folder(asked.path),
      expires: Infinity,
      secure: false,
      sameSite: "lax",
      made: this.made += 1
    };
    let aged = false;
    let rooted = false;
    let domain = false;
    for (const attribute of attributes) {
      const [key, said] = split(attribute);
      switch (key.toLowerCase()) {
        case "max-age":
          if (/^-?\d+$/.test(said)) {
            cookie.expires = Number(said) > 0 ? this.now() + Number(said) * 1e3 : 0;
            aged = true;
          }
          break;
        case "expires": {
          const at = Date.parse(said);
          if (!aged && !Number.isNaN(at)) cookie.expires = at;
          break;
        }
        case "path":
          cookie.path = said.startsWith("/") ? said : folder(asked.path);
          rooted = said === "/";
          break;
        case "domain":
          domain = said !== "";
          break;
        case "secure":
          cookie.secure = true;
          break;
        case "samesite":
          if (/^(strict|lax|none)$/i.test(said)) cookie.sameSite = said.toLowerCase();
          break;
      }
    }
    const lower = name.toLowerCase();
    if (lower.startsWith("__secure-") && !cookie.secure) return void 0;
    if (lower.startsWith("__host-") && !(cookie.secure && rooted && !domain)) return void 0;
    if (cookie.secure && !asked.secure) return void 0;
    if (cookie.sameSite === "none" && !cookie.secure) return void 0;
    if (cookie.sameSite !== "none" && !asked.sameSite && !asked.navigation) return void 0;
    return cookie;
  }
  fits(cookie, asked) {
    if (cookie.expires <= this.now() || cookie.secure && !asked.secure) return false;
    if (!asked.sameSite && cookie.sameSite !== "none") {
      const safe = asked.navigation && /^(GET|HEAD|OPTIONS)$/.test(asked.method);
      if (cookie.sameSite === "strict" || !safe) return false;
    }
    const { path } = cookie;
    return asked.path.startsWith(path) && (path.endsWith("/") || ["/", void 0].includes(asked.path[path.length]));
  }
};
function split(pair) {
  const at = pair.indexOf("=");
  return at < 0 ? [pair.trim(), ""] : [pair.slice(0, at).trim(), pair.slice(at + 1).trim()];
}
function folder(path) {
  const last = path.lastIndexOf("/");
  return last > 0 ? path.slice(0, last) : "/";
}

// src/messages.ts
var WINDOW = 1024 * 1024;
var CREDIT = WINDOW / 4;
var BEAT = 1e3;
var SILENCE = 5e3;
function own(bytes) {
  const whole = bytes.byteOffset === 0 && bytes.byteLength === bytes.buffer.byteLength;
  return whole && bytes.buffer instanceof ArrayBuffer ? bytes : new Uint8Array(bytes);
}
function onClosed(port, tell2) {
  port.addEventListener("close", tell2);
}

// src/exchanges.ts
var Exchanges = class {
  /** *now* gives milliseconds, and never goes back. */
  constructor(python2, jar = new CookieJar(), now = () => performance.now()) {
    this.python = python2;
    this.jar = jar;
    this.now = now;
  }
  python;
  jar;
  now;
  open = /* @__PURE__ */ new Map();
  last = 0;
  timer;
  ticked = 0;
  /** A request has come. */
  take(head, port) {
    const id = this.last += 1;
    const asked = {
      path: head.root + head.path,
      secure: head.scheme === "https:" || isLocal(head.host),
      sameSite: head.sameSite,
      navigation: head.navigation,
      method: head.method
    };
    const exchange = {
      port,
      asked,
      cookies: head.cookies,
      window: WINDOW,
      full: false,
      owed: 0,
      heard: this.now(),
      left: false
    };
    this.open.set(id, exchange);
    port.onmessage = ({ data }) => this.heard(id, exchange, data);
    onClosed(port, () => this.lost(id, exchange));
    this.watch();
    const cookie = head.cookies ? this.jar.header(asked) : "";
    const headers = cookie ? [...head.headers, ["cookie", cookie]] : head.headers;
    const { method, host, root, path, query } = head;
    const scheme = head.scheme.replace(":", "");
    this.python.open(id, method, scheme, host, root, path, query, headers.flat().join("\n"), !head.body);
  }
  // --- what Python calls ------------------------------------------------------------------------------------------
  head(id, status, text) {
    const exchange = this.open.get(id);
    if (exchange === void 0) return;
    const fields = text === "" ? [] : text.split("\n");
    const headers = [];
    for (let at = 0; at + 1 < fields.length; at += 2) {
      const [name, value] = [fields[at], fields[at + 1]];
      if (name !== "set-cookie") headers.push([name, value]);
      else if (exchange.cookies) this.jar.take(value, exchange.asked);
    }
    this.post(exchange, { t: "head", status, headers });
  }
  /** Whether there is room for more; if not, Python is told when there is. */
  data(id, bytes, fin) {
    const exchange = this.open.get(id);
    if (exchange === void 0) return true;
    const sent = own(bytes ?? new Uint8Array());
    exchange.window -= sent.byteLength;
    this.post(exchange, { t: "data", bytes: sent, fin }, [sent.buffer]);
    exchange.full = exchange.window <= 0;
    return !exchange.full;
  }
  reset(id, code, reason) {
    const exchange = this.open.get(id);
    if (exchange !== void 0) this.post(exchange, { t: "reset", code, reason });
  }
  /** Python has used up so many bytes of the request's body. */
  credit(id, bytes) {
    const exchange = this.open.get(id);
    if (exchange === void 0) return;
    exchange.owed += bytes;
    if (exchange.owed >= CREDIT) {
      this.post(exchange, { t: "credit", bytes: exchange.owed });
      exchange.owed = 0;
    }
  }
  /** Python has done with the request. */
  release(id) {
    const exchange = this.open.get(id);
    if (exchange === void 0) return;
    this.open.delete(id);
    exchange.port.close();
    if (this.open.size === 0) this.rest();
  }
  /** Requests that Python has not done with. */
  get inFlight() {
    return this.open.size;
  }
  /** The app is stopped: whoever still waits is told by their ports' end. */
  close() {
    for (const { port } of this.open.values()) port.close();
    this.open.clear();
    this.rest();
  }
  // --- what the service worker says -------------------------------------------------------------------------------
  heard(id, exchange, message) {
    exchange.heard = this.now();
    switch (message.t) {
      case "data":
        this.python.data(id, message.bytes, message.fin);
        break;
      case "credit":
        exchange.window += message.bytes;
        if (exchange.full && exchange.window > 0) {
          exchange.full = false;
          this.python.writable(id);
        }
        break;
      case "ping":
        this.post(exchange, { t: "pong" });
        break;
      case "gone":
        this.lost(id, exchange);
        break;
    }
  }
  lost(id, exchange) {
    if (exchange.left || !this.open.has(id)) return;
    exchange.left = true;
    this.python.gone(id);
  }
  post(exchange, message, transfer = []) {
    exchange.port.postMessage(message, transfer);
  }
  // --- the heartbeat ----------------------------------------------------------------------------------------------
  watch() {
    if (this.timer !== void 0) return;
    this.ticked = this.now();
    this.timer = setInterval(() => this.tick(), BEAT);
  }
  rest() {
    clearInterval(this.timer);
    this.timer = void 0;
  }
  /** Look who has fallen silent. Called every `BEAT`; one that comes late says that this side was busy, not the other. */
  tick() {
    const now = this.now();
    const late = now - this.ticked - BEAT;
    this.ticked = now;
    for (const [id, exchange] of this.open) {
      if (late > 0) exchange.heard += late;
      if (now - exchange.heard > SILENCE) this.lost(id, exchange);
    }
  }
};
function isLocal(host) {
  return /^(localhost|.*\.localhost|127(\.\d+){3}|\[::1\])(:\d+)?$/.test(host);
}

// src/worker.ts
var Failure = class extends Error {
  constructor(message, detail) {
    super(message);
    this.detail = detail;
  }
  detail;
};
var HOME = "/home/pyodide/app";
var scope = self;
var tell = (message) => scope.postMessage(message);
var running;
var python;
var exchanges = new Exchanges({
  open: (...request) => python.open(...request),
  data: (id, bytes, fin) => python.data(id, bytes, fin),
  gone: (id) => python.gone(id),
  writable: (id) => python.writable(id)
});
scope.onmessage = ({ data, ports }) => {
  switch (data.t) {
    case "start":
      start(data).then(
        (started) => tell({ t: "started", started }),
        (error) => tell({
          t: "failed",
          message: error instanceof Error ? error.message : String(error),
          detail: error instanceof Failure ? error.detail : ""
        })
      );
      break;
    case "request":
      exchanges.take(data.head, ports[0]);
      break;
    case "stop":
      void Promise.resolve(running?.stop()).finally(() => {
        exchanges.close();
        tell({ t: "stopped" });
      });
      break;
  }
};
async function start(asked) {
  const pyodide = await load(asked);
  await install(pyodide, asked.install);
  tell({ t: "progress", stage: "app", text: "Starting the app" });
  for (const [path, content] of Object.entries(asked.files)) {
    const full = `${HOME}/${path}`;
    pyodide.FS.mkdirTree(full.slice(0, full.lastIndexOf("/")));
    pyodide.FS.writeFile(full, content);
  }
  let module;
  try {
    module = pyodide.pyimport("portico.tab.bridge");
  } catch (error) {
    throw new Failure("Portico is not among the packages that were installed, or is an older one.", String(error));
  }
  const report = (doing, summary, detail) => tell({ t: "exception", doing, summary, detail });
  const told = await module.start(exchanges, asked.app, HOME, asked.chat, report);
  const outcome = JSON.parse(told);
  if (outcome.error !== void 0) throw new Failure(outcome.error, outcome.detail);
  running = module.running();
  python = running.expose();
  return outcome;
}
async function load({ pyodide, lockFile, packages }) {
  tell({ t: "progress", stage: "python", text: "Loading Python" });
  if (typeof WebAssembly === "undefined") throw new Failure("This browser cannot run WebAssembly, which Python needs.", "");
  const unreachable = `Python could not be loaded from ${pyodide}. Is the address right, and can it be reached?`;
  let loadPyodide;
  try {
    ({ loadPyodide } = await import(
      /* @vite-ignore */
      `${pyodide}pyodide.mjs`
    ));
  } catch (error) {
    throw new Failure(unreachable, String(error));
  }
  try {
    const loaded = await loadPyodide({
      indexURL: pyodide,
      ...lockFile === null ? {} : { lockFileURL: lockFile },
      packages,
      // fetched while Python itself is
      stdout: (text) => progressOr(text, false),
      stderr: (text) => progressOr(text, true)
    });
    installing = false;
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
function canonical(name) {
  return name.toLowerCase().replace(/[-_.]+/g, "-");
}
var installing = true;
var complaints = [];
function progressOr(text, error) {
  if (!installing) tell({ t: "output", text, error });
  else if (error) complaints.push(text);
  else if (/^(Loading|Loaded) /.test(text)) tell({ t: "progress", stage: "packages", text });
}
async function install(pyodide, wanted) {
  if (wanted.length === 0) return;
  tell({ t: "progress", stage: "packages", text: "Loading the installer" });
  try {
    await pyodide.loadPackage(["micropip"], { messageCallback: () => void 0, checkIntegrity: true });
  } catch (error) {
    throw new Failure("The installer of packages (micropip) could not be loaded.", String(error));
  }
  const micropip = pyodide.pyimport("micropip");
  const named = wanted.map((one) => one.includes("/") ? one.split("/").pop() ?? one : one).join(", ");
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
function lastLine(text) {
  return text.trim().split("\n").pop() ?? text;
}
