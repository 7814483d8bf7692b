/** A call on its way: sends it, and tells what comes back as it comes. Knows no document. */

import { type Json, type JsonObject, Num, parse } from "./json.ts";

/** A result with how it is shown: asked for by the page alone. */
export const DISPLAY = "application/vnd.portico.display+json";

/** Why there is no result, in the words of people. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
    /** What to do, or empty. */
    readonly advice: string,
    /** What is wrong with which field: the `detail` of a 422. */
    readonly details: readonly { loc: (string | number)[]; msg: string }[] = [],
  ) {
    super(message);
  }
}

/** What a function gave. */
export interface Result {
  /** Undefined where the result is not JSON, or there is none. */
  value?: Json | undefined;
  /** As Python's `repr` has it. */
  text?: string;
  /** How a notebook would show it: by media type, texts as they are and bytes in base64. */
  display?: ReadonlyMap<string, string>;
  /** Bytes of another type. */
  blob?: Blob;
}

export interface Listener {
  piece(text: string): void;
  progress(done: number, total: number | undefined, message: string): void;
}

export interface Wanted {
  url: string;
  body: string | FormData;
  /** Whether it is told how far the call is, and given pieces as they come. */
  events: boolean;
  signal: AbortSignal;
}

/** Call. Raises `Refused`; the signal's own error if it is cancelled. */
export async function call({ url, body, events, signal }: Wanted, listener: Listener): Promise<Result> {
  const headers: Record<string, string> = { Accept: events ? `text/event-stream, ${DISPLAY};q=0.9` : `${DISPLAY}, application/json;q=0.9, */*;q=0.5` };
  if (typeof body === "string") headers["Content-Type"] = "application/json";
  let answer: Response;
  try {
    answer = await fetch(url, { method: "POST", headers, body, signal, redirect: "manual", cache: "no-store" });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Refused(0, "The server cannot be reached.", navigator.onLine ? "Is what serves it still running? Try again in a moment." : "You are offline. Try again when you are not.");
  }
  if (answer.type === "opaqueredirect") throw new Refused(401, "You are not signed in any more.", "Load this page again to sign in.");
  const type = (answer.headers.get("content-type") ?? "").split(";", 1)[0]?.trim().toLowerCase() ?? "";
  try {
    if (!answer.ok) throw refusal(answer.status, await answer.text(), answer.headers.get("retry-after"));
    if (type === "text/event-stream") return await readEvents(answer, listener);
    if (type === "application/json" || type.endsWith("+json")) return resultOf(parse(await answer.text()), type === DISPLAY);
    if (type.startsWith("text/")) {
      for await (const piece of texts(answer)) listener.piece(piece);
      return {};
    }
    return { blob: await answer.blob() };
  } catch (error) {
    if (signal.aborted || error instanceof Refused) throw error;
    if (error instanceof SyntaxError) throw new Refused(0, "The answer is not what was expected.", "Load this page again: what it calls may have changed.");
    throw new Refused(0, "The connection was lost before the answer was whole.", "Try again.");
  }
}

export function resultOf(answer: Json, display: boolean): Result {
  if (!(answer instanceof Map)) return { value: answer };
  if (!display && !answer.has("display")) return { value: answer.get("result") };
  const result: Result = { value: answer.get("result") };
  const text = answer.get("text");
  if (typeof text === "string") result.text = text;
  const shown = answer.get("display");
  if (shown instanceof Map) {
    result.display = new Map([...shown].filter((entry): entry is [string, string] => typeof entry[1] === "string"));
  }
  return result;
}

async function* texts(answer: Response): AsyncGenerator<string> {
  if (answer.body === null) return;
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => undefined); // it may have ended by itself
  }
}

export interface SentEvent {
  name: string;
  data: string;
}

/** Reads server-sent events from text that comes in pieces (WHATWG HTML, 9.2.6). */
export class EventReader {
  #rest = "";
  #data: string[] = [];
  #name = "";

  feed(text: string): SentEvent[] {
    const events: SentEvent[] = [];
    const all = this.#rest + text;
    const lines = all.split(/\r\n|\n|\r(?!$)/); // what ends with a carriage return may go on with a line feed
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line === "") {
        if (this.#data.length > 0) events.push({ name: this.#name, data: this.#data.join("\n") });
        this.#data = [];
        this.#name = "";
        continue;
      }
      const at = line.indexOf(":");
      const field = at < 0 ? line : line.slice(0, at);
      const value = at < 0 ? "" : line.slice(at + 1).replace(/^ /, "");
      if (field === "data") this.#data.push(value);
      else if (field === "event") this.#name = value;
    }
    return events;
  }
}

async function readEvents(answer: Response, listener: Listener): Promise<Result> {
  const reader = new EventReader();
  for await (const text of texts(answer)) {
    for (const { name, data } of reader.feed(text)) {
      if (name === "") listener.piece(data);
      else if (name === "progress") {
        const { done, total, message } = progressOf(parse(data));
        listener.progress(done, total, message);
      } else if (name === "result") return resultOf(parse(data), false);
      else if (name === "error") {
        const told = parse(data);
        const status = told instanceof Map ? told.get("status") : null;
        throw refusal(status instanceof Num ? Number(status.source) : 500, data, null);
      }
    }
  }
  throw new Refused(0, "The answer broke off before its end.", "Try again.");
}

function progressOf(told: Json): { done: number; total: number | undefined; message: string } {
  const object: JsonObject = told instanceof Map ? told : new Map();
  const number = (value: Json | undefined) => (value instanceof Num ? Number(value.source) : undefined);
  const message = object.get("message");
  return { done: number(object.get("progress")) ?? 0, total: number(object.get("total")), message: typeof message === "string" ? message : "" };
}

/** What a status means for the person who pressed Run, and what there is to do. */
export function refusal(status: number, body: string, retryAfter: string | null): Refused {
  const { message, details } = told(body);
  const wait = retryAfter !== null && /^\d{1,6}$/.test(retryAfter) ? Number(retryAfter) : undefined;
  const later = wait === undefined ? "Try again in a moment." : `Try again in ${wait < 100 ? `${wait} seconds` : `${Math.ceil(wait / 60)} minutes`}.`;
  switch (status) {
    case 401:
      return new Refused(status, "This is not served any more, or you are not signed in.", "Load this page again: it asks you to sign in if that is what is missing.");
    case 403:
      return new Refused(status, message || "You may not call this.", "Ask whoever serves it for access, or for a key.");
    case 404:
      return new Refused(status, message || "This function is not served here any more.", "Load this page again to see what is.");
    case 408:
    case 504:
      return new Refused(status, message || "It took too long.", "Try again, with less to do.");
    case 413:
      return new Refused(status, message || "This is more than may be sent.", "Send less: smaller files, or fewer.");
    case 422:
      return details.length > 0 ? new Refused(status, "Some fields need another value.", "", details) : new Refused(status, message || "A value cannot be used.", "Change it and run again.");
    case 429:
      return new Refused(status, message || "There are too many calls at the moment.", later);
    case 502:
    case 503:
      return new Refused(status, message || "What serves this is not there at the moment.", later);
    case 500:
      return new Refused(status, message || "The function failed.", "");
  }
  return new Refused(status, message || `The server answered with status ${status}.`, status > 500 ? later : "");
}

/** Details of one answer that are read: a form has no more fields than that to show them at. */
const MOST_DETAILS = 200;

function told(body: string): { message: string; details: { loc: (string | number)[]; msg: string }[] } {
  let answer: Json;
  try {
    answer = parse(body);
  } catch {
    return { message: "", details: [] }; // a page of a proxy, say: the status speaks for itself
  }
  const error = answer instanceof Map ? (answer.get("detail") ?? answer.get("error") ?? answer.get("message")) : undefined;
  if (typeof error === "string") return { message: error, details: [] };
  if (error instanceof Map) {
    const message = error.get("message");
    return { message: typeof message === "string" ? message : "", details: [] };
  }
  const details = (Array.isArray(error) ? error : []).slice(0, MOST_DETAILS).flatMap((detail) => {
    if (!(detail instanceof Map)) return [];
    const loc = detail.get("loc");
    const msg = detail.get("msg");
    const path = (Array.isArray(loc) ? loc : []).map((part) => (part instanceof Num ? Number(part.source) : String(part)));
    return typeof msg === "string" ? [{ loc: path, msg }] : [];
  });
  return { message: "", details };
}
