/**
 * What a kernel in the browser and the page that it belongs to say to each other. Nothing here sends anything.
 *
 * The kernel's worker posts `Hello` to whoever made it, with a port. Over that port it asks for its services to be shown, and
 * gets their requests, each with a port of its own that leads to the service worker.
 */

import type { RequestHead } from "portico-browser";

/** Of this file and of portico-browser's `messages.ts`: the page's side comes with the site, the kernel's by pip. */
export const VERSION = 1;

/** From the kernel's worker to its page. The port comes with it. */
export interface Hello {
  portico: "kernel";
  version: number;
}

export type ToPage =
  /** Let *name* be seen by the service worker; *id* is the kernel's number for it. */
  | { t: "serve"; id: number; name: string }
  | { t: "stop"; id: number };

export type ToKernel =
  | { t: "served"; id: number; url: string }
  /** In plain words. Without a number it is about everything. */
  | { t: "failed"; id?: number; message: string }
  /** The page is there, and shows what it is asked to. */
  | { t: "welcome" }
  /** A request; its port comes with it. */
  | { t: "request"; id: number; head: RequestHead };
