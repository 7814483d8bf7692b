/**
 * The page of `portico export`: loads, tells how far it is, shows the app, and says in plain words what went wrong.
 *
 * What it shows is in `site/index.html`; what it runs, in the settings that `src/portico/browser/export.py` writes there.
 */

import { host, type Hosted, HostError } from "./host.ts";

interface Settings {
  title: string;
  name: string;
  app: string;
  chat: boolean;
  /** Paths below `app/`; the first is the app's own. */
  files: string[];
  pyodide: string;
  lockFile: string | null;
  packages: string[];
  /** Requirements, and paths of wheels below this page's folder, which begin with `./`. */
  install: string[];
}

const settings = JSON.parse(by("settings").textContent ?? "") as Settings;

const decoder = new TextDecoder();
const encoder = new TextEncoder();

let hosted: Hosted | undefined;
let printed = "";
let problems = 0;

function by<T extends HTMLElement = HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

/** Characters of output that are kept. */
const KEPT = 100_000;

async function run(): Promise<void> {
  by("failed").hidden = true;
  by("loading").hidden = false;
  try {
    hosted = await host({
      app: settings.app,
      chat: settings.chat,
      name: settings.name,
      files: await files(),
      pyodide: settings.pyodide,
      ...(settings.lockFile === null ? {} : { lockFile: settings.lockFile }),
      packages: settings.packages,
      install: settings.install.map((one) => (one.startsWith("./") ? new URL(one, document.baseURI).href : one)),
      frame: by<HTMLIFrameElement>("frame"),
      onProgress: ({ text, done }) => {
        by("stage").textContent = text;
        by<HTMLProgressElement>("progress").value = done;
      },
      onOutput: (text, error) => {
        (error ? console.warn : console.log)(text);
        print(text);
      },
      onException: ({ doing, summary, detail }) => {
        console.error(`${doing}\n${detail}`);
        problems += 1;
        print(`${doing}\n${detail}`);
        by("said").textContent = `${problems === 1 ? "An exception" : `${problems} exceptions`}, the last: ${summary}`;
        by("said").classList.add("bad");
      },
    });
    by("loading").hidden = true;
    by("frame").hidden = false;
    by("restart").hidden = false;
    by<HTMLAnchorElement>("open").href = hosted.url.href;
    by("open").hidden = false;
    document.documentElement.dataset.state = "running";
  } catch (error) {
    fail(error instanceof Error ? error.message : String(error), error instanceof HostError ? error.detail : "");
  }
}

/** The app's files, as they are beside this page. */
async function files(): Promise<Record<string, Uint8Array>> {
  const got = await Promise.all(
    settings.files.map(async (path) => {
      const answer = await fetch(new URL(`app/${path.split("/").map(encodeURIComponent).join("/")}`, document.baseURI));
      if (!answer.ok) throw new HostError(`The file ${path} of the app is missing here (${answer.status}).`);
      return [path, new Uint8Array(await answer.arrayBuffer())] as const;
    }),
  );
  return Object.fromEntries(got);
}

function fail(message: string, detail: string): void {
  by("loading").hidden = true;
  by("frame").hidden = true;
  by("why").textContent = message;
  by("detail").textContent = detail;
  by("more").hidden = detail === "";
  by("failed").hidden = false;
  document.documentElement.dataset.state = "failed";
}

function print(text: string): void {
  printed = `${printed}${text}\n`.slice(-KEPT);
  by("output").textContent = printed;
  by("log").hidden = false;
}

async function restart(): Promise<void> {
  by("frame").hidden = true;
  by("open").hidden = true;
  by("restart").hidden = true;
  document.documentElement.dataset.state = "loading";
  by("stage").textContent = "Stopping the app";
  by<HTMLProgressElement>("progress").value = 0;
  by("loading").hidden = false;
  const last = hosted;
  hosted = undefined;
  await last?.close();
  await run();
}

// --- the source ---------------------------------------------------------------------------------------------------

async function show(path: string): Promise<void> {
  const listing = by("code");
  try {
    const bytes = (await files())[path] ?? encoder.encode("");
    listing.textContent = decoder.decode(bytes);
  } catch (error) {
    listing.textContent = String(error);
  }
  by<HTMLAnchorElement>("raw").href = `app/${path.split("/").map(encodeURIComponent).join("/")}`;
}

function openSource(): void {
  by<HTMLDialogElement>("listing").showModal();
  void show(by<HTMLSelectElement>("file").value);
}

const choice = by<HTMLSelectElement>("file");
choice.append(...settings.files.map((path) => new Option(path, path)));
choice.hidden = settings.files.length < 2;
by("filename").textContent = settings.files[0] ?? "";
by("filename").hidden = !choice.hidden;
choice.addEventListener("change", () => void show(choice.value));
by("source").addEventListener("click", openSource);
by("close").addEventListener("click", () => by<HTMLDialogElement>("listing").close());
by("again").addEventListener("click", () => void run());
by("restart").addEventListener("click", () => void restart());

void run();
