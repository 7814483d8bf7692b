/**
 * The kernel's side: `src/portico/tab/preview.py` runs this script in the worker, and calls its value.
 *
 * Its value is a function, so that it leaves nothing behind.
 */

import { Exchanges, type Python } from "portico-browser/exchanges";

import { type Hello, type ToKernel, type ToPage, VERSION } from "./messages.ts";

declare const self: DedicatedWorkerGlobalScope;

/** What Python is told: `welcome`, `served` with a URL, `failed` with why. *id* is -1 for what is about everything. */
export type Told = (what: string, id: number, text: string) => void;

export interface Kernel {
  /** Let *name* be seen; its requests go to *python*. `told` says what becomes of it. */
  serve(id: number, name: string, python: Python): Exchanges;
  stop(id: number): void;
}

/** Greet the page. */
export function greet(told: Told): Kernel {
  const { port1: port, port2 } = new MessageChannel();
  const served = new Map<number, Exchanges>();
  const ask = (message: ToPage): void => port.postMessage(message);
  port.onmessage = ({ data, ports }: MessageEvent<ToKernel>) => {
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
  const hello: Hello = { portico: "kernel", version: VERSION };
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
    },
  };
}
