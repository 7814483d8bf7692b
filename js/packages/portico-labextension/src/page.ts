/**
 * The page's side: hears the kernels that are workers of this page, and shows what they serve through the service worker.
 *
 * JupyterLite keeps the worker of a kernel to itself. So `Worker` is watched while the page makes one: whoever greets from
 * inside is heard. Everything else that workers and the page say to each other is left alone.
 */

import { Preview, PreviewError, type Served } from "portico-browser/preview";

import { type Hello, type ToKernel, type ToPage, VERSION } from "./messages.ts";

/** Calls *greeted* for each greeting, with the port that came along and what tells that the kernel has ended. */
export function watchWorkers(greeted: (hello: Hello, port: MessagePort, ended: AbortSignal) => void): void {
  globalThis.Worker = new Proxy(globalThis.Worker, {
    construct(target, given, maker) {
      const worker = Reflect.construct(target, given, maker) as Worker;
      const ending = new AbortController();
      worker.addEventListener("message", ({ data, ports }: MessageEvent<Hello | null>) => {
        if (data?.portico === "kernel" && ports[0]) greeted(data, ports[0], ending.signal);
      });
      const { terminate } = worker;
      worker.terminate = () => {
        terminate.call(worker);
        ending.abort();
      };
      return worker;
    },
  });
}

/** Show what one kernel serves, until it has *ended*. The service worker lies in *folder*. */
export function welcome({ version }: Hello, port: MessagePort, ended: AbortSignal, folder: URL): void {
  const tell = (message: ToKernel, transfer: Transferable[] = []): void => port.postMessage(message, transfer);
  if (version !== VERSION) {
    const which = version > VERSION ? "this site's Portico is older" : "the kernel's Portico is older";
    tell({ t: "failed", message: `The Portico of this site and the kernel's do not fit together: ${which}.` });
    return;
  }
  const shown = new Map<number, Promise<Served>>();
  const stop = (id: number): void => {
    void shown.get(id)?.then(
      (served) => served.stop(),
      () => undefined,
    );
    shown.delete(id);
  };
  const show = async (id: number, name: string): Promise<Served> => {
    const preview = await Preview.open(folder);
    return preview.serve(name, (head, asked) => tell({ t: "request", id, head }, [asked]));
  };
  port.onmessage = ({ data }: MessageEvent<ToPage>) => {
    if (data.t === "stop") {
      stop(data.id);
      return;
    }
    const { id, name } = data;
    const showing = show(id, name);
    shown.set(id, showing);
    showing.then(
      ({ url }) => tell({ t: "served", id, url: url.href }),
      (error: unknown) => tell({ t: "failed", id, message: error instanceof PreviewError ? error.message : String(error) }),
    );
  };
  ended.addEventListener("abort", () => {
    for (const id of shown.keys()) stop(id);
    port.close();
  });
  tell({ t: "welcome" });
}
