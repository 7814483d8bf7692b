/**
 * What a preview's service worker and the page that hosts an app say to each other. Nothing here sends anything.
 *
 * The service worker finds the host: it asks every page of the origin `who` hosts an app of that name, and the page
 * answers `here`. Then each request gets a `MessageChannel` of its own: the page gives one end of it, with the request's
 * head, to where the app runs, and what follows goes between the service worker and the app alone.
 *
 * Both directions are held by credit: each side may send `WINDOW` bytes of a body, and as many more as the other has used
 * up. Each side hears the other at least every `BEAT`, or learns that it is gone.
 */

/** Bytes of a body that may be under way before the first credit comes back. */
export const WINDOW = 1024 * 1024;

/** Bytes used up that are worth a message of their own. */
export const CREDIT = WINDOW / 4;

/** Milliseconds between two pings of the service worker on the port of a request. */
export const BEAT = 1000;

/** Milliseconds of silence after which the app's side takes the service worker, and the visitor with it, for gone. */
export const SILENCE = 5000;

/** The link's code for an app that raised an exception (`ResetCode.APP_ERROR` in Python); the visitor is told no other code. */
export const APP_ERROR = 3;

/** Names of apps: what the rest of Portico lets be a service's name. */
export const NAME = /^[a-z0-9](?:[a-z0-9-]{0,28}[a-z0-9])?$/;

/** Header fields in order, duplicates kept. Every character is a byte (latin-1). */
export type Pairs = [name: string, value: string][];

/** A request, but for its body. */
export interface RequestHead {
  method: string;
  /** `http:` or `https:`, and the origin's host and port, as the page's URL has them. */
  scheme: string;
  host: string;
  /** The path that the app is under, without a slash at its end. */
  root: string;
  /** The rest of the path, percent-encoded, with its first slash. */
  path: string;
  /** Without the question mark. */
  query: string;
  headers: Pairs;
  /** Whether a body follows. */
  body: boolean;
  /** Whether cookies go with it, and come back. */
  cookies: boolean;
  /** Whether a page of this origin, or the visitor's own hand, asks; not another site's page. */
  sameSite: boolean;
  /** Whether it is for a whole page, to be shown in a window or a frame. */
  navigation: boolean;
}

// --- between the service worker and a page ----------------------------------------------------------------------

/** The service worker asks a page whether it hosts *app*. */
export interface Who {
  portico: "who";
  app: string;
  ask: number;
}

/** The page's answer. An app that was started anew has another *instance*; "" is that the page does not host it. */
export interface Here {
  portico: "here";
  ask: number;
  instance: string;
}

/** The page does not host *app* any more: whoever asks next must look for it anew. */
export interface Stopped {
  portico: "stopped";
  app: string;
}

/** A request for *app*; the port comes with it. */
export interface Ask {
  portico: "request";
  app: string;
  head: RequestHead;
}

// --- on the port of a request -----------------------------------------------------------------------------------

/** From the service worker to the app. */
export type ToApp =
  | { t: "data"; bytes: Uint8Array; fin: boolean }
  | { t: "credit"; bytes: number }
  | { t: "ping" }
  /** The visitor has left. */
  | { t: "gone" };

/** From the app to the service worker. */
export type ToVisitor =
  | { t: "head"; status: number; headers: Pairs }
  | { t: "data"; bytes: Uint8Array; fin: boolean }
  | { t: "credit"; bytes: number }
  | { t: "pong" }
  /** The app gives the request up; *code* is one of the link's (docs/protocol.md). */
  | { t: "reset"; code: number; reason: string };

/** The bytes as a message carries them away: in a buffer of their own, which is transferred. */
export function own(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const whole = bytes.byteOffset === 0 && bytes.byteLength === bytes.buffer.byteLength;
  return whole && bytes.buffer instanceof ArrayBuffer ? (bytes as Uint8Array<ArrayBuffer>) : new Uint8Array(bytes);
}

/** Calls *tell* once the other end of *port* is closed or its realm has ended, where the browser says so. */
export function onClosed(port: MessagePort, tell: () => void): void {
  port.addEventListener("close", tell);
}
