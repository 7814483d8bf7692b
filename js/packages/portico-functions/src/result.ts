/** What a function gave, in the forms that it can be looked at: as a notebook shows it, a table, JSON, text. */

import type { Result } from "./answer.ts";
import { button, el, sign } from "./dom.ts";
import { sizeOf } from "./fields/files.ts";
import { frameOf } from "./frame.ts";
import { encode, type Json, type JsonObject, Num } from "./json.ts";
import { csvOf } from "./separated.ts";
import { TabList } from "./tabs.ts";

/** Characters that are shown at once. Laying out more takes a browser seconds; all of it can be downloaded. */
export const MOST_SHOWN = 300_000;
const MOST_ROWS = 200;
const MOST_COLUMNS = 60;

/** What pictures may be: browsers draw them without running anything in them, as `<img>`. */
const PICTURES = ["image/svg+xml", "image/png", "image/jpeg", "image/gif", "image/webp"];

interface View {
  name: string;
  element: HTMLElement;
  /** What is copied, and downloaded. */
  content: () => Blob;
  text: (() => string) | undefined;
  file: string;
}

export interface Surroundings {
  nonce: string;
  name: string;
  say: (text: string) => void;
  copy: (text: string, from: HTMLElement) => void;
}

export function download(content: Blob, file: string): void {
  const url = URL.createObjectURL(content);
  const link = el("a", { href: url, download: file });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000); // the browser reads it meanwhile
}

/** The whole of *result*, with ways to look at it, copy it and download it. */
export function resultView(result: Result, around: Surroundings): HTMLElement {
  const views = viewsOf(result, around);
  const [first] = views;
  if (first === undefined) return el("p", { class: "dim", text: "It gave no result." });
  const body = el("div", { class: "views" }, ...views.map(({ element }) => element));
  let shown = first;
  const show = (index: number) => {
    shown = views[index] ?? first;
    copy.hidden = shown.text === undefined;
  };
  const copy = button("Copy", () => around.copy(shown.text?.() ?? "", shown.element), { class: "small" });
  copy.prepend(sign("copy"));
  const save = button("Download", () => download(shown.content(), `${around.name}.${shown.file}`), { class: "small" });
  save.prepend(sign("download"));
  const tabs = new TabList("How to look at the result", views.map(({ name, element }) => ({ name, panel: element })), show, "views-tabs");
  tabs.element.hidden = views.length < 2;
  show(0);
  return el("div", {}, el("div", { class: "bar" }, tabs.element, el("span", { class: "space" }), copy, save), body);
}

function viewsOf({ value, text, display, blob }: Result, around: Surroundings): View[] {
  if (blob !== undefined) return [ofBlob(blob)];
  const views: View[] = [];
  const shown = display === undefined ? undefined : ofDisplay(display, around);
  if (shown !== undefined) views.push(shown);
  // A picture, or bytes, as JSON holds them: nobody reads that.
  if (shown !== undefined && typeof value === "string" && value.startsWith("data:")) return [shown];
  const rows = value === undefined ? undefined : rowsIn(value);
  if (rows !== undefined) views.push(ofRows(rows));
  if (typeof value === "string") views.push(ofText("Text", value));
  if (value !== undefined) views.push(ofJson(value));
  if (text !== undefined && (value === undefined || display?.has("text/html") === true) && typeof value !== "string") {
    views.push(ofText("Python", display?.get("text/plain") ?? text));
  }
  if (value === null && shown === undefined) return [ofText("Result", "None")];
  return views;
}

function typed(text: string, type: string): Blob {
  return new Blob([text], { type: `${type};charset=utf-8` });
}

function cut(text: string): HTMLElement[] {
  const whole = text.length <= MOST_SHOWN;
  const shown = el("pre", { text: whole ? text : text.slice(0, MOST_SHOWN), dir: "auto", tabindex: "0" });
  return whole ? [shown] : [shown, el("p", { class: "note", text: "This is how it begins. Download it to see all." })];
}

export function ofText(name: string, text: string): View {
  return { name, element: el("div", {}, ...cut(text)), content: () => typed(text, "text/plain"), text: () => text, file: "txt" };
}

function ofJson(value: Json): View {
  const text = encode(value, 2);
  const small = value === null || typeof value === "boolean" || value instanceof Num;
  const element = small ? el("p", { class: "value", text }) : el("div", {}, ...cut(text).map((part) => (part instanceof HTMLPreElement ? coloured(part) : part)));
  return { name: "JSON", element, content: () => typed(text, "application/json"), text: () => text, file: "json" };
}

/** Beyond that JSON is shown in one colour: each piece is an element. */
const MOST_COLOURED = 20_000;

/** *shown*, with its names, texts and numbers told apart by colour. */
function coloured(shown: HTMLPreElement): HTMLPreElement {
  const text = shown.textContent ?? "";
  if (text.length > MOST_COLOURED) return shown;
  const parts: (Node | string)[] = [];
  let last = 0;
  for (const found of text.matchAll(/("(?:[^"\\]|\\.)*")(\s*:)?|-?\d[\d.eE+-]*|\b(?:true|false|null)\b/g)) {
    if (found.index > last) parts.push(text.slice(last, found.index));
    const kind = found[2] !== undefined ? "name" : found[1] !== undefined ? "string" : "literal";
    parts.push(el("span", { class: kind, text: found[1] ?? found[0] }));
    if (found[2] !== undefined) parts.push(found[2]);
    last = found.index + found[0].length;
  }
  parts.push(text.slice(last));
  shown.replaceChildren(...parts);
  return shown;
}

/** The rows of *value*, where it is a list of objects that have about the same names. */
export function rowsIn(value: Json): { names: string[]; rows: JsonObject[] } | undefined {
  if (!Array.isArray(value) || value.length === 0 || !value.every((row): row is JsonObject => row instanceof Map)) return undefined;
  const names = new Set<string>();
  for (const row of value.slice(0, MOST_ROWS)) for (const name of row.keys()) names.add(name);
  return names.size === 0 ? undefined : { names: [...names], rows: value };
}

function cellText(value: Json | undefined): string {
  return value === undefined || value === null ? "" : typeof value === "string" ? value : encode(value);
}

function ofRows({ names, rows }: { names: string[]; rows: JsonObject[] }): View {
  const columns = names.slice(0, MOST_COLUMNS);
  const number = (name: string) => rows.slice(0, MOST_ROWS).every((row) => row.get(name) instanceof Num || (row.get(name) ?? null) === null);
  const numeric = new Set(columns.filter(number));
  const side = (name: string) => (numeric.has(name) ? "number" : undefined);
  const table = el(
    "table",
    {},
    el("thead", {}, el("tr", {}, ...columns.map((name) => el("th", { scope: "col", text: name, dir: "auto", class: side(name) ?? "" })))),
    el(
      "tbody",
      {},
      ...rows.slice(0, MOST_ROWS).map((row) => el("tr", {}, ...columns.map((name) => el("td", { text: cellText(row.get(name)), dir: "auto", class: side(name) ?? "" })))),
    ),
  );
  const left = [rows.length > MOST_ROWS ? `the first ${MOST_ROWS} of ${rows.length} rows` : `${rows.length} ${rows.length === 1 ? "row" : "rows"}`];
  if (names.length > MOST_COLUMNS) left.push(`${MOST_COLUMNS} of ${names.length} columns`);
  const element = el(
    "div",
    {},
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "The result as a table" }, table),
    el("p", { class: "note", text: `${left.join(", ")}${rows.length > MOST_ROWS ? ". Download it to see all." : ""}` }),
  );
  const csv = () => csvOf([names, ...rows.map((row) => names.map((name) => cellText(row.get(name))))]);
  return { name: "Table", element, content: () => typed(csv(), "text/csv"), text: csv, file: "csv" };
}

function ofDisplay(display: ReadonlyMap<string, string>, { nonce, name }: Surroundings): View | undefined {
  const html = display.get("text/html");
  if (html !== undefined) {
    const element = frameOf(html, `What ${name} gave`, nonce);
    return { name: "Display", element, content: () => typed(html, "text/html"), text: undefined, file: "html" };
  }
  for (const type of PICTURES) {
    const data = display.get(type);
    const bytes = data === undefined ? undefined : type === "image/svg+xml" ? new TextEncoder().encode(data) : decoded(data);
    if (bytes !== undefined) return ofBlob(new Blob([bytes], { type }));
  }
  for (const type of ["text/markdown", "text/latex"]) {
    const text = display.get(type);
    if (text !== undefined) return ofText(type === "text/markdown" ? "Markdown" : "LaTeX", text);
  }
  return undefined;
}

/** Bytes of base64; undefined if it is none. */
function decoded(text: string): Uint8Array<ArrayBuffer> | undefined {
  try {
    return Uint8Array.from(atob(text.replaceAll(/\s/g, "")), (char) => char.charCodeAt(0));
  } catch {
    return undefined;
  }
}

function ofBlob(blob: Blob): View {
  const type = blob.type.split(";", 1)[0] ?? "";
  const ending = { "image/svg+xml": "svg", "image/jpeg": "jpg", "text/csv": "csv" }[type] ?? (/^[a-z]+\/([a-z0-9]+)$/.exec(type)?.[1] || "bin");
  const element = PICTURES.includes(type)
    ? el("div", { class: "picture" }, el("img", { src: URL.createObjectURL(blob), alt: "The picture that it gave" }))
    : el("p", {}, `A file (${type || "of no type"}, ${sizeOf(blob.size)}): download it.`);
  return { name: PICTURES.includes(type) ? "Picture" : "File", element, content: () => blob, text: undefined, file: ending === "octet" ? "bin" : ending };
}
