/**
 * The preview's service worker: a request under its scope is answered by the page that hosts the app of that name.
 *
 * `<scope><app>/...` is the app's `/...`. It keeps nothing that it could not find again: a browser may end it between two
 * requests, or in the midst of one, and start it anew. Its scope is the folder it lies in; pages above it, and other service
 * workers, it does not touch.
 */

import { type Ask, type Here, NAME, type RequestHead, type Stopped, type Who } from "./messages.ts";
import { problem } from "./problems.ts";
import { mayHaveBody, visit } from "./visit.ts";

declare const self: ServiceWorkerGlobalScope;

/** Milliseconds that a page has to say whether it hosts an app. */
const ANSWER_WITHIN = 3000;

/** Milliseconds between two questions to a host whose requests go on: its answers keep the browser from ending us. */
const STAY = 10_000;

const SCOPE = new URL("./", self.location.href);

interface Host {
  client: string;
  instance: string;
}

/** Where each app was last seen: only to ask there first. */
const seen = new Map<string, Host>();

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
  if (!NAME.test(app)) return; // a file of the folder
  if (slash < 0) {
    event.respondWith(Response.redirect(`${url.origin}${url.pathname}/${url.search}`, 308));
    return;
  }
  event.respondWith(answer(event, app, rest.slice(slash), url));
});

/** Chromium may ask the static host too while we are started. It is told that all is ours. */
async function alone(event: ExtendableEvent): Promise<void> {
  const install = event as ExtendableEvent & { addRoutes?: (routes: unknown) => Promise<void> };
  try {
    await install.addRoutes?.({ condition: { urlPattern: `${SCOPE.pathname}*` }, source: "fetch-event" });
  } catch {
    // an older idea of routes: then it asks
  }
}

async function answer(event: FetchEvent, app: string, path: string, url: URL): Promise<Response> {
  const { request } = event;
  const host = await find(app);
  const client = host && (await self.clients.get(host.client));
  if (!host || !client) {
    return problem(request, 502, "no_host", `No tab runs ${app}. Open the page that starts it, and try again.`);
  }
  const { port1, port2 } = new MessageChannel();
  const ask: Ask = { portico: "request", app, head: headOf(event, path, url) };
  client.postMessage(ask, [port2]);
  const alive = async (): Promise<boolean> => (await asked(host.client, app)) === host.instance;
  const waiting = async (): Promise<boolean> =>
    request.mode === "navigate" || event.clientId === "" || (await self.clients.get(event.clientId)) !== undefined;
  const { response, done } = visit(request, port1, { alive, waiting });
  const stay = setInterval(() => void alive(), STAY);
  void done.then(() => clearInterval(stay)); // not waitUntil: Chromium ends what an event waits for after 5 minutes
  return response;
}

function headOf(event: FetchEvent, path: string, url: URL): RequestHead {
  const { request } = event;
  const navigation = request.mode === "navigate";
  // Only pages of this origin fetch through here. A navigation may come from anywhere: its referrer says from where, and
  // one without is taken for the visitor's own, unless it sends a form.
  const from = request.referrer ? new URL(request.referrer, url).origin : "";
  const sameSite = !navigation || (from === "" ? request.method === "GET" : from === url.origin);
  const headers: [string, string][] = [["host", url.host]];
  const given = new Set<string>();
  for (const [name, value] of request.headers) {
    given.add(name);
    headers.push([name, value]);
  }
  // A browser adds these after the service worker: the app is told all the same.
  const add = (name: string, value: string): void => {
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
    navigation,
  };
}

// --- finding the host ---------------------------------------------------------------------------------------------

async function find(app: string): Promise<Host | undefined> {
  const last = seen.get(app);
  if (last && (await self.clients.get(last.client))) return last;
  seen.delete(app);
  const pages = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const others = pages.filter((page) => !page.url.startsWith(SCOPE.href)); // an app's own pages host nothing
  const host = await new Promise<Host | undefined>((resolve) => {
    const answers = others.map(async ({ id }) => {
      const instance = await asked(id, app);
      if (instance) resolve({ client: id, instance });
    });
    void Promise.all(answers).then(() => resolve(undefined));
  });
  if (host) seen.set(app, host);
  return host;
}

const waiting = new Map<number, (instance: string) => void>();
let asks = 0;

/** The instance of *app* that a page hosts; "" if it hosts none, has gone, or says nothing. */
async function asked(id: string, app: string): Promise<string> {
  const client = await self.clients.get(id);
  if (!client) return "";
  const ask = (asks += 1);
  const who: Who = { portico: "who", app, ask };
  return new Promise((resolve) => {
    const answer = (instance: string): void => {
      clearTimeout(late);
      waiting.delete(ask);
      if (seen.get(app)?.client === id && seen.get(app)?.instance !== instance) seen.delete(app);
      resolve(instance);
    };
    const late = setTimeout(() => answer(""), ANSWER_WITHIN);
    waiting.set(ask, answer);
    client.postMessage(who);
  });
}

self.addEventListener("message", ({ data }: ExtendableMessageEvent) => {
  const told = data as Here | Stopped | null;
  if (told?.portico === "here") waiting.get(told.ask)?.(told.instance);
  else if (told?.portico === "stopped") seen.delete(told.app);
});
