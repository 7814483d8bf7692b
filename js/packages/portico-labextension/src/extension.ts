/**
 * The JupyterLab extension, as JupyterLite loads it: a container of webpack's module federation, written by hand, for it
 * shares no module with anybody. Where there is a Jupyter server, it changes nothing in the page.
 */

import type { Hello } from "./messages.ts";
import { watchWorkers, welcome } from "./page.ts";

const NAME = "portico";

/** Beside this script's folder. */
const FOLDER = new URL("../preview/", (document.currentScript as HTMLScriptElement).src);

type Greeting = [hello: Hello, port: MessagePort, ended: AbortSignal];

/** Only JupyterLite's pages say where their site's root is; their kernels are workers. */
const IN_JUPYTERLITE = document.querySelector("[data-jupyter-lite-root]") !== null;

// The script runs before JupyterLite starts its first kernel, the plugin perhaps after.
const early: Greeting[] = [];
let greeted = (...greeting: Greeting): void => void early.push(greeting);
if (IN_JUPYTERLITE) watchWorkers((...greeting) => greeted(...greeting));

const plugin = {
  id: `${NAME}:preview`,
  description: "Shows what kernels in the browser serve with Portico, through a service worker.",
  autoStart: true,
  activate: (): void => {
    greeted = (hello, port, ended) => welcome(hello, port, ended, FOLDER);
    for (const greeting of early.splice(0)) greeted(...greeting);
  },
};

const modules: Record<string, unknown> = { "./extension": { __esModule: true, default: plugin } };
const containers = ((globalThis as { _JUPYTERLAB?: Record<string, unknown> })._JUPYTERLAB ??= {});
containers[NAME] = {
  init: () => undefined,
  get: (name: string) => Promise.resolve(() => modules[name]),
};
