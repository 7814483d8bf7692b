"use strict";
(() => {
  // src/messages.ts
  var WINDOW = 1024 * 1024;
  var CREDIT = WINDOW / 4;
  var BEAT = 1e3;
  var SILENCE = 5e3;
  var APP_ERROR = 3;
  var NAME = /^[a-z0-9](?:[a-z0-9-]{0,28}[a-z0-9])?$/;
  function own(bytes) {
    const whole = bytes.byteOffset === 0 && bytes.byteLength === bytes.buffer.byteLength;
    return whole && bytes.buffer instanceof ArrayBuffer ? bytes : new Uint8Array(bytes);
  }
  function onClosed(port, tell) {
    port.addEventListener("close", tell);
  }

  // src/problems.ts
  var TITLES = {
    500: "The app has a problem",
    502: "The app is not running"
  };
  function problem(request, status, code, message) {
    const headers = { "cache-control": "no-store", "x-portico-error": code };
    if (request.mode !== "navigate") {
      const body = { error: { message, code, status } };
      return new Response(JSON.stringify(body), { status, headers: { ...headers, "content-type": "application/json" } });
    }
    const type = { "content-type": "text/html; charset=utf-8" };
    return new Response(page(status, TITLES[status] ?? "Something went wrong", message), {
      status,
      headers: { ...headers, ...type }
    });
  }
  var ESCAPES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
  function escape(text) {
    return text.replace(/[&<>"']/g, (sign) => ESCAPES[sign]);
  }
  function page(status, title, message) {
    return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="robots" content="noindex"><title>${escape(title)}</title>
<style>
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; min-height: 100vh; display: grid; place-items: center;
  background: light-dark(#f6f6f4, #17181a); color: light-dark(#1d1d1f, #ececec) }
main { box-sizing: border-box; width: min(30rem, 100vw - 2rem); margin: 1rem; padding: 1.8rem 2rem; border-radius: 12px;
  overflow-wrap: anywhere; background: light-dark(#fff, #222427); border: 1px solid light-dark(#e2e2de, #34373b) }
h1 { font-size: 1.3rem; line-height: 1.3; margin: 0 0 .6rem } p { margin: .4rem 0 }
a { color: light-dark(#0b5cad, #7ab8f5) } .dim { color: light-dark(#666, #a0a4a8); font-size: .9rem }
:focus-visible { outline: 2px solid light-dark(#0b5cad, #7ab8f5); outline-offset: 2px }
</style></head>
<body><main><div role="alert"><h1>${escape(title)}</h1><p>${escape(message)}</p></div>
<p class=dim><a href="">Try again</a></p>
<p class=dim>${status} &middot; Portico</p></main></body>
</html>
`;
  }

  // src/visit.ts
  var NO_BODY = /* @__PURE__ */ new Set([101, 103, 204, 205, 304]);
  var HOP = /* @__PURE__ */ new Set(["connection", "keep-alive", "proxy-connection", "transfer-encoding", "te", "trailer", "upgrade"]);
  var PIECE = 64 * 1024;
  var CODINGS = { gzip: "gzip", "x-gzip": "gzip", deflate: "deflate" };
  function visit(request, port, around) {
    const visiting = new Visiting(request, port, around);
    return { response: visiting.response, done: visiting.done };
  }
  var Visiting = class {
    constructor(request, port, around) {
      this.request = request;
      this.port = port;
      this.around = around;
      this.response = new Promise((resolve) => this.answer = resolve);
      this.done = new Promise((resolve) => this.finish = resolve);
      port.onmessage = ({ data }) => this.hear(data);
      onClosed(port, () => this.lost());
      this.timer = setInterval(() => void this.beat(), BEAT);
      request.signal.addEventListener("abort", () => this.leave());
      void this.upload();
    }
    request;
    port;
    around;
    response;
    done;
    answer;
    finish;
    answered = false;
    ended = false;
    body;
    owed = 0;
    window = WINDOW;
    room;
    heard = Date.now();
    timer;
    post(message, transfer = []) {
      if (!this.ended) this.port.postMessage(message, transfer);
    }
    // --- the request's body -------------------------------------------------------------------------------------------
    async upload() {
      try {
        const body = await bodyOf(this.request);
        if (body === null) return;
        const reader = body.getReader();
        for (; ; ) {
          const { done, value } = await reader.read();
          for (let at = 0; !done && at < value.byteLength && !this.ended; at += PIECE) {
            if (this.window <= 0) await new Promise((resolve) => this.room = resolve);
            this.send(value.subarray(at, at + PIECE), false);
          }
          if (this.ended) {
            await reader.cancel();
            return;
          }
          if (done) {
            this.send(new Uint8Array(), true);
            return;
          }
        }
      } catch {
        this.leave();
      }
    }
    send(part, fin) {
      const bytes = own(part);
      this.window -= bytes.byteLength;
      this.post({ t: "data", bytes, fin }, [bytes.buffer]);
    }
    // --- what the app says --------------------------------------------------------------------------------------------
    hear(message) {
      this.heard = Date.now();
      switch (message.t) {
        case "head":
          this.begin(message.status, message.headers);
          break;
        case "data":
          this.owed += message.bytes.byteLength;
          if (message.bytes.byteLength > 0) this.body?.enqueue(message.bytes);
          if (message.fin) {
            this.body?.close();
            this.end();
          }
          break;
        case "credit":
          this.window += message.bytes;
          this.room?.();
          break;
        case "reset":
          this.fail(
            message.code === APP_ERROR ? problem(this.request, 500, "app_error", "The app raised an exception. Whoever started it can see which.") : problem(this.request, 502, "provider_lost", "The app gave this request up.")
          );
          break;
      }
    }
    begin(status, pairs) {
      if (status < 200 || status > 599) {
        this.post({ t: "gone" });
        this.fail(problem(this.request, 502, "bad_status", `The app answered with the status ${status}.`));
        return;
      }
      try {
        const headers = this.headersOf(pairs);
        const coding = CODINGS[(headers.get("content-encoding") ?? "").trim().toLowerCase()];
        let body = null;
        if (this.request.method !== "HEAD" && !NO_BODY.has(status)) {
          body = this.stream();
          if (coding !== void 0) {
            headers.delete("content-encoding");
            headers.delete("content-length");
            body = body.pipeThrough(new DecompressionStream(coding));
          }
        }
        this.answered = true;
        this.answer(new Response(body, { status, headers }));
      } catch (error) {
        this.post({ t: "gone" });
        this.fail(problem(this.request, 502, "bad_head", `The app's answer is none that a browser takes: ${String(error)}`));
      }
    }
    headersOf(pairs) {
      const headers = new Headers();
      for (const [name, value] of pairs) {
        if (name === "location") headers.append(name, new URL(value, this.request.url).href);
        else if (!HOP.has(name)) headers.append(name, value);
      }
      return headers;
    }
    stream() {
      return new ReadableStream(
        {
          start: (controller) => {
            this.body = controller;
          },
          pull: () => {
            if (this.owed >= CREDIT) {
              this.post({ t: "credit", bytes: this.owed });
              this.owed = 0;
            }
          },
          cancel: () => this.leave()
        },
        new ByteLengthQueuingStrategy({ highWaterMark: CREDIT })
      );
    }
    // --- ends -------------------------------------------------------------------------------------------------------
    /** The visitor has left. */
    leave() {
      if (this.ended) return;
      this.post({ t: "gone" });
      this.body = void 0;
      if (!this.answered) this.answer(Response.error());
      this.end();
    }
    lost() {
      const why = "The tab that ran this app was closed, or the app was stopped.";
      this.fail(problem(this.request, 502, "host_gone", why));
    }
    fail(response) {
      if (this.ended) return;
      if (!this.answered) this.answer(response);
      else this.body?.error(new TypeError("The app broke off its answer."));
      this.end();
    }
    end() {
      if (this.ended) return;
      this.ended = true;
      clearInterval(this.timer);
      this.room?.();
      this.finish();
    }
    async beat() {
      this.post({ t: "ping" });
      if (!this.answered && !await this.around.waiting()) this.leave();
      else if (Date.now() - this.heard > SILENCE && !await this.around.alive()) this.lost();
    }
  };
  async function bodyOf(request) {
    if (!mayHaveBody(request)) return null;
    return request.body ?? (await request.blob()).stream();
  }
  function mayHaveBody(request) {
    if (request.method === "GET" || request.method === "HEAD") return false;
    return !("body" in request) || request.body !== null;
  }

  // src/service-worker.ts
  var ANSWER_WITHIN = 3e3;
  var STAY = 1e4;
  var SCOPE = new URL("./", self.location.href);
  var seen = /* @__PURE__ */ new Map();
  self.addEventListener("install", (event) => {
    void self.skipWaiting();
    event.waitUntil(alone(event));
  });
  self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
  self.addEventListener("fetch", (event) => {
    const url = new URL(event.request.url);
    if (url.origin !== SCOPE.origin || !url.pathname.startsWith(SCOPE.pathname)) return;
    const rest = url.pathname.slice(SCOPE.pathname.length);
    const slash = rest.indexOf("/");
    const app = slash < 0 ? rest : rest.slice(0, slash);
    if (!NAME.test(app)) return;
    if (slash < 0) {
      event.respondWith(Response.redirect(`${url.origin}${url.pathname}/${url.search}`, 308));
      return;
    }
    event.respondWith(answer(event, app, rest.slice(slash), url));
  });
  async function alone(event) {
    const install = event;
    try {
      await install.addRoutes?.({ condition: { urlPattern: `${SCOPE.pathname}*` }, source: "fetch-event" });
    } catch {
    }
  }
  async function answer(event, app, path, url) {
    const { request } = event;
    const host = await find(app);
    const client = host && await self.clients.get(host.client);
    if (!host || !client) {
      return problem(request, 502, "no_host", `No tab runs ${app}. Open the page that starts it, and try again.`);
    }
    const { port1, port2 } = new MessageChannel();
    const ask = { portico: "request", app, head: headOf(event, path, url) };
    client.postMessage(ask, [port2]);
    const alive = async () => await asked(host.client, app) === host.instance;
    const waiting2 = async () => request.mode === "navigate" || event.clientId === "" || await self.clients.get(event.clientId) !== void 0;
    const { response, done } = visit(request, port1, { alive, waiting: waiting2 });
    const stay = setInterval(() => void alive(), STAY);
    void done.then(() => clearInterval(stay));
    return response;
  }
  function headOf(event, path, url) {
    const { request } = event;
    const navigation = request.mode === "navigate";
    const from = request.referrer ? new URL(request.referrer, url).origin : "";
    const sameSite = !navigation || (from === "" ? request.method === "GET" : from === url.origin);
    const headers = [["host", url.host]];
    const given = /* @__PURE__ */ new Set();
    for (const [name, value] of request.headers) {
      given.add(name);
      headers.push([name, value]);
    }
    const add = (name, value) => {
      if (value && !given.has(name)) headers.push([name, value]);
    };
    add("user-agent", self.navigator.userAgent);
    add("accept-language", self.navigator.languages.join(", "));
    if (from === url.origin) add("referer", request.referrer);
    else if (from) add("referer", `${from}/`);
    if (request.method !== "GET" && request.method !== "HEAD") {
      add("origin", navigation ? from || "null" : url.origin);
    }
    return {
      method: request.method,
      scheme: url.protocol,
      host: url.host,
      root: url.pathname.slice(0, url.pathname.length - path.length),
      path,
      query: url.search.slice(1),
      headers,
      body: mayHaveBody(request),
      cookies: request.credentials !== "omit",
      sameSite,
      navigation
    };
  }
  async function find(app) {
    const last = seen.get(app);
    if (last && await self.clients.get(last.client)) return last;
    seen.delete(app);
    const pages = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
    const others = pages.filter((page2) => !page2.url.startsWith(SCOPE.href));
    const host = await new Promise((resolve) => {
      const answers = others.map(async ({ id }) => {
        const instance = await asked(id, app);
        if (instance) resolve({ client: id, instance });
      });
      void Promise.all(answers).then(() => resolve(void 0));
    });
    if (host) seen.set(app, host);
    return host;
  }
  var waiting = /* @__PURE__ */ new Map();
  var asks = 0;
  async function asked(id, app) {
    const client = await self.clients.get(id);
    if (!client) return "";
    const ask = asks += 1;
    const who = { portico: "who", app, ask };
    return new Promise((resolve) => {
      const answer2 = (instance) => {
        clearTimeout(late);
        waiting.delete(ask);
        if (seen.get(app)?.client === id && seen.get(app)?.instance !== instance) seen.delete(app);
        resolve(instance);
      };
      const late = setTimeout(() => answer2(""), ANSWER_WITHIN);
      waiting.set(ask, answer2);
      client.postMessage(who);
    });
  }
  self.addEventListener("message", ({ data }) => {
    const told = data;
    if (told?.portico === "here") waiting.get(told.ask)?.(told.instance);
    else if (told?.portico === "stopped") seen.delete(told.app);
  });
})();
