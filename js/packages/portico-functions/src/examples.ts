/** A call as a program of one's own: curl, Python, JavaScript. Each runs as it is. Knows no document. */

import type { FunctionAbout } from "./about.ts";
import { encode, type Json, type JsonObject, Num } from "./json.ts";
import { type Call, fitsQuery, textsOf } from "./request.ts";

export type Language = "curl" | "Python" | "JavaScript";

export const LANGUAGES: readonly Language[] = ["curl", "Python", "JavaScript"];

export interface Example {
  one: FunctionAbout;
  /** The absolute URL of its `run`. */
  url: string;
  call: Call;
  /** Whether a key is needed. */
  keyed: boolean;
}

export function exampleOf(language: Language, example: Example): string {
  return { curl, Python: python, JavaScript: javascript }[language](example);
}

/** The URL that a GET asks for, where a GET will do. */
function address({ one, url, call }: Example): string | undefined {
  if (!one.get || !fitsQuery(call, one)) return undefined;
  const query = new URLSearchParams(textsOf(call.values, one)).toString();
  return query === "" ? url : `${url}?${query}`;
}

// --- curl -------------------------------------------------------------------------------------------------------------

/** One word of a POSIX shell (XCU 2.2.2). */
function word(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function curl(example: Example): string {
  const { one, url, call, keyed } = example;
  const parts = [one.streams ? "curl -N" : "curl"];
  const got = address(example);
  parts[0] += ` ${word(got ?? url)}`;
  if (keyed) parts.push('-H "Authorization: Bearer $PORTICO_KEY"');
  if (call.files.length > 0) {
    for (const [name, text] of textsOf(call.values, one)) parts.push(`--form-string ${word(`${name}=${text}`)}`);
    for (const { name, file } of call.files) parts.push(`-F ${word(`${name}=@"${file.name.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`)}`);
  } else if (got === undefined) {
    parts.push("-H 'Content-Type: application/json'", `-d ${word(visible(encode(call.values)))}`);
  }
  return parts.join(" \\\n  ");
}

// --- Python -----------------------------------------------------------------------------------------------------------

/** *value* as Python writes it; several lines where it is long. */
function pythonOf(value: Json, margin: string): string {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "string") return pythonText(value);
  if (value instanceof Num) return value.source;
  const inner = `${margin}    `;
  const parts = Array.isArray(value)
    ? value.map((item) => pythonOf(item, inner))
    : [...value].map(([name, item]) => `${pythonText(name)}: ${pythonOf(item, inner)}`);
  return bracketed(parts, Array.isArray(value) ? "[]" : "{}", margin, inner);
}

function bracketed(parts: string[], brackets: string, margin: string, inner: string): string {
  const [open, close] = brackets;
  const line = `${open}${parts.join(", ")}${close}`;
  if (line.length + margin.length <= 80 && !line.includes("\n")) return line;
  return `${open}\n${parts.map((part) => `${inner}${part},\n`).join("")}${margin}${close}`;
}

/** JSON's escapes are Python's. What would look like something else in an editor is escaped as well. */
function pythonText(text: string): string {
  return visible(JSON.stringify(text));
}

/** Characters that cannot be seen, end a line, or turn its direction, as escapes: of JSON, Python and JavaScript alike. */
function visible(literal: string): string {
  return literal.replaceAll(/[\u007f-\u00a0\u00ad\u061c\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function python(example: Example): string {
  const { one, url, call, keyed } = example;
  const got = address(example);
  const given: string[] = [];
  if (keyed) given.push('headers={"Authorization": "Bearer " + os.environ["PORTICO_KEY"]},');
  if (call.files.length > 0) {
    const texts = textsOf(call.values, one).map(([name, text]) => `${pythonText(name)}: ${pythonText(text)}`);
    if (texts.length > 0) given.push(`data=${bracketed(texts, "{}", "    ", "        ")},`);
    const files = call.files.map(({ name, file }) => `(${pythonText(name)}, open(${pythonText(file.name)}, "rb"))`);
    given.push(`files=${bracketed(files, "[]", "    ", "        ")},`);
  } else if (got !== undefined) {
    const texts = textsOf(call.values, one).map(([name, text]) => `${pythonText(name)}: ${pythonText(text)}`);
    if (texts.length > 0) given.push(`params=${bracketed(texts, "{}", "    ", "        ")},`);
  } else given.push(`json=${pythonOf(call.values, "    ")},`);
  if (one.streams) given.push("stream=True,");
  return [
    ...(keyed ? ["import os", ""] : []),
    "import requests",
    "",
    `answer = requests.${got === undefined ? "post" : "get"}(`,
    `    ${pythonText(url)},`,
    ...given.map((line) => `    ${line}`),
    ")",
    "answer.raise_for_status()",
    ...(one.streams
      ? ['answer.encoding = "utf-8"', "for piece in answer.iter_content(None, decode_unicode=True):", '    print(piece, end="", flush=True)']
      : ['print(answer.json()["result"])']),
  ].join("\n");
}

// --- JavaScript -------------------------------------------------------------------------------------------------------

function javascript(example: Example): string {
  const { one, url, call, keyed } = example;
  const text = (value: string) => visible(JSON.stringify(value));
  const got = address(example);
  const before: string[] = [];
  const options: string[] = [];
  const headers: string[] = [];
  if (keyed) headers.push("Authorization: `Bearer ${process.env.PORTICO_KEY}`");
  if (call.files.length > 0) {
    before.push('import { openAsBlob } from "node:fs";', "", "const form = new FormData();");
    for (const [name, value] of textsOf(call.values, one)) before.push(`form.append(${text(name)}, ${text(value)});`);
    for (const { name, file } of call.files) before.push(`form.append(${text(name)}, await openAsBlob(${text(file.name)}), ${text(file.name)});`);
    options.push('method: "POST"', "body: form");
  } else if (got === undefined) {
    headers.push('"Content-Type": "application/json"');
    options.push('method: "POST"', `body: ${keepsInJavaScript(call.values) ? `JSON.stringify(${visible(encode(call.values, 2, "  "))})` : text(encode(call.values))}`);
  }
  if (headers.length > 0) options.splice(Math.min(1, options.length), 0, `headers: { ${headers.join(", ")} }`);
  const told = options.length === 0 ? "" : `, {\n${options.map((line) => `  ${line},\n`).join("")}}`;
  return [
    ...before,
    `const answer = await fetch(${text(got ?? url)}${told});`,
    "if (!answer.ok) throw new Error(await answer.text());",
    ...(one.streams
      ? ["for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) process.stdout.write(piece);"]
      : ["console.log((await answer.json()).result);"]),
  ].join("\n");
}

/** Whether JavaScript's own values hold *value* as it is: large whole numbers and some names they do not. */
function keepsInJavaScript(value: Json): boolean {
  if (value instanceof Num) return !/^-?\d+$/.test(value.source) || Number.isSafeInteger(Number(value.source));
  if (Array.isArray(value)) return value.every(keepsInJavaScript);
  if (value instanceof Map) return [...(value as JsonObject)].every(([name, item]) => name !== "__proto__" && keepsInJavaScript(item));
  return true;
}
