/**
 * Where no port can be handed to the worker that Python is in: a request's port, carried over a `BroadcastChannel`.
 *
 * A notebook's kernel in the browser is a worker that its application holds on to. The kernel listens on a channel of a name
 * that nobody can guess (`listen`), and tells the page the name; the page gives requests to it (`throughChannel`). What goes
 * over the port goes over the channel, copied, under the request's number.
 */

import type { Exchanges } from "./exchanges.ts";
import { onClosed, type RequestHead, type ToApp, type ToVisitor } from "./messages.ts";
import type { Give } from "./preview.ts";

type ToKernel = { to: "kernel"; id: number } & ({ head: RequestHead } | { message: ToApp } | { closed: true });
type ToPage = { to: "page"; id: number } & ({ message: ToVisitor } | { closed: true });

/** Gives requests to whoever listens on the channel *name*. Call `close` once its app is served no more. */
export function throughChannel(name: string): { give: Give; close: () => void } {
  const channel = new BroadcastChannel(name);
  const ports = new Map<number, MessagePort>();
  let last = 0;
  const post = (message: ToKernel): void => channel.postMessage(message);
  channel.onmessage = ({ data }: MessageEvent<ToKernel | ToPage>) => {
    if (data.to !== "page") return;
    const port = ports.get(data.id);
    if ("message" in data) port?.postMessage(data.message, moved(data.message));
    else port?.close();
    if (!("message" in data) || isLast(data.message)) ports.delete(data.id);
  };
  const give: Give = (head, port) => {
    const id = (last += 1);
    ports.set(id, port);
    post({ to: "kernel", id, head });
    port.onmessage = ({ data }: MessageEvent<ToApp>) => post({ to: "kernel", id, message: data });
    onClosed(port, () => {
      if (ports.delete(id)) post({ to: "kernel", id, closed: true });
    });
  };
  const close = (): void => {
    for (const [id, port] of ports) {
      post({ to: "kernel", id, closed: true });
      port.close();
    }
    ports.clear();
    channel.close();
  };
  return { give, close };
}

/** Take the requests that come on the channel *name*. Returns what ends that. */
export function listen(name: string, exchanges: Exchanges): () => void {
  const channel = new BroadcastChannel(name);
  const ports = new Map<number, MessagePort>();
  const post = (message: ToPage): void => channel.postMessage(message);
  channel.onmessage = ({ data }: MessageEvent<ToKernel | ToPage>) => {
    if (data.to !== "kernel") return;
    const { id } = data;
    if ("head" in data) {
      const { port1, port2 } = new MessageChannel();
      ports.set(id, port1);
      port1.onmessage = ({ data: message }: MessageEvent<ToVisitor>) => {
        post({ to: "page", id, message });
        if (isLast(message)) ports.delete(id);
      };
      onClosed(port1, () => {
        if (ports.delete(id)) post({ to: "page", id, closed: true });
      });
      exchanges.take(data.head, port2);
    } else if ("message" in data) {
      ports.get(id)?.postMessage(data.message, moved(data.message));
    } else {
      // The other side has gone, which its port would say by being closed where ports say so.
      ports.get(id)?.postMessage({ t: "gone" } satisfies ToApp);
    }
  };
  return () => {
    for (const id of ports.keys()) post({ to: "page", id, closed: true });
    ports.clear();
    exchanges.close();
    channel.close();
  };
}

/** Whether nothing follows it: some browsers do not say that a port was closed. */
function isLast(message: ToVisitor): boolean {
  return message.t === "reset" || (message.t === "data" && message.fin);
}

function moved(message: ToApp | ToVisitor): Transferable[] {
  return message.t === "data" ? [message.bytes.buffer] : [];
}
