"use strict";
var porticoKernel = (() => {
  var __defProp = Object.defineProperty;
  var __getOwnPropDesc = Object.getOwnPropertyDescriptor;
  var __getOwnPropNames = Object.getOwnPropertyNames;
  var __hasOwnProp = Object.prototype.hasOwnProperty;
  var __export = (target, all) => {
    for (var name in all)
      __defProp(target, name, { get: all[name], enumerable: true });
  };
  var __copyProps = (to, from, except, desc) => {
    if (from && typeof from === "object" || typeof from === "function") {
      for (let key of __getOwnPropNames(from))
        if (!__hasOwnProp.call(to, key) && key !== except)
          __defProp(to, key, { get: () => from[key], enumerable: !(desc = __getOwnPropDesc(from, key)) || desc.enumerable });
    }
    return to;
  };
  var __toCommonJS = (mod) => __copyProps(__defProp({}, "__esModule", { value: true }), mod);

  // src/kernel.ts
  var kernel_exports = {};
  __export(kernel_exports, {
    greet: () => greet
  });

  // ../portico-browser/src/cookies.ts
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

  // ../portico-browser/src/messages.ts
  var WINDOW = 1024 * 1024;
  var CREDIT = WINDOW / 4;
  var BEAT = 1e3;
  var SILENCE = 5e3;
  function own(bytes) {
    const whole = bytes.byteOffset === 0 && bytes.byteLength === bytes.buffer.byteLength;
    return whole && bytes.buffer instanceof ArrayBuffer ? bytes : new Uint8Array(bytes);
  }
  function onClosed(port, tell) {
    port.addEventListener("close", tell);
  }

  // ../portico-browser/src/exchanges.ts
  var Exchanges = class {
    /** *now* gives milliseconds, and never goes back. */
    constructor(python, jar = new CookieJar(), now = () => performance.now()) {
      this.python = python;
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

  // src/messages.ts
  var VERSION = 1;

  // src/kernel.ts
  function greet(told) {
    const { port1: port, port2 } = new MessageChannel();
    const served = /* @__PURE__ */ new Map();
    const ask = (message) => port.postMessage(message);
    port.onmessage = ({ data, ports }) => {
      switch (data.t) {
        case "welcome":
          told("welcome", -1, "");
          break;
        case "served":
          told("served", data.id, data.url);
          break;
        case "failed":
          told("failed", data.id ?? -1, data.message);
          break;
        case "request": {
          const [asked] = ports;
          const exchanges = served.get(data.id);
          if (asked && exchanges) exchanges.take(data.head, asked);
          else asked?.close();
          break;
        }
      }
    };
    const hello = { portico: "kernel", version: VERSION };
    self.postMessage(hello, [port2]);
    return {
      serve(id, name, python) {
        const exchanges = new Exchanges(python);
        served.set(id, exchanges);
        ask({ t: "serve", id, name });
        return exchanges;
      },
      stop(id) {
        ask({ t: "stop", id });
        served.get(id)?.close();
        served.delete(id);
      }
    };
  }
  return __toCommonJS(kernel_exports);
})();
porticoKernel.greet;
