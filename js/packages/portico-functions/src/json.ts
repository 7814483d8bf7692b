/**
 * JSON that comes out as it went in: an object keeps the order of its names, and a number keeps its digits.
 *
 * JavaScript's own values do neither: names that look like indices come first, and 12345678901234567890 is rounded.
 * Source: RFC 8259.
 */

/** A number as it was written. */
export class Num {
  constructor(readonly source: string) {}
}

export type JsonObject = Map<string, Json>;
export type Json = null | boolean | string | Num | Json[] | JsonObject;

/** Nested deeper, a text is refused: reading it would use up the stack. Python's own json stops at about the same. */
const DEEPEST = 1000;

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const SPACE = /[ \t\n\r]*/y;
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;

/** Raises `SyntaxError`, which says where, if *text* is not JSON. */
export function parse(text: string): Json {
  let at = 0;
  const fail = (wanted: string): never => {
    const line = text.slice(0, at).split("\n").length;
    const found = at < text.length ? `"${[...text.slice(at, at + 20)].slice(0, 10).join("")}"` : "the end";
    throw new SyntaxError(`${wanted} is missing before ${found}${line > 1 ? ` in line ${line}` : ""}.`);
  };
  const match = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0];
    if (found !== undefined) at += found.length;
    return found;
  };
  const string = (): string => JSON.parse(match(STRING) ?? fail("A text in double quotes")) as string;
  const value = (depth: number): Json => {
    if (depth > DEEPEST) throw new SyntaxError(`It is nested more than ${DEEPEST} deep.`);
    match(SPACE);
    switch (text[at]) {
      case "{": {
        const object: JsonObject = new Map();
        list("}", () => {
          const name = string();
          match(SPACE);
          if (text[at] !== ":") fail("A colon");
          at += 1;
          object.set(name, value(depth + 1));
        });
        return object;
      }
      case "[": {
        const items: Json[] = [];
        list("]", () => items.push(value(depth + 1)));
        return items;
      }
      case '"':
        return string();
    }
    for (const [word, is] of WORDS) {
      if (text.startsWith(word, at)) {
        at += word.length;
        return is;
      }
    }
    const digits = match(NUMBER);
    return digits === undefined ? fail("A value") : new Num(digits);
  };
  const list = (end: string, item: () => void): void => {
    at += 1;
    match(SPACE);
    if (text[at] === end) {
      at += 1;
      return;
    }
    for (;;) {
      match(SPACE);
      item();
      match(SPACE);
      const mark = text[at];
      if (mark !== "," && mark !== end) fail(`A comma or ${end}`);
      at += 1;
      if (mark === end) return;
    }
  };
  const read = value(0);
  match(SPACE);
  if (at < text.length) fail("The end of the JSON");
  return read;
}

const WORDS: [string, Json][] = [["true", true], ["false", false], ["null", null]];

/** *value* as JSON, on one line, or with *indent* spaces a level. Short lists of plain values stay on one line. */
export function encode(value: Json, indent = 0, margin = ""): string {
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "string") return JSON.stringify(value);
  if (value instanceof Num) return value.source;
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  const inner = margin + " ".repeat(indent);
  const parts = Array.isArray(value)
    ? value.map((item) => encode(item, indent, inner))
    : [...value].map(([name, item]) => `${JSON.stringify(name)}: ${encode(item, indent, inner)}`);
  if (parts.length === 0) return `${open}${close}`;
  const plain = Array.isArray(value) && value.every((item) => item === null || typeof item !== "object" || item instanceof Num);
  if (indent === 0 || (plain && fits(parts))) return `${open}${parts.join(", ")}${close}`;
  return `${open}\n${parts.map((part) => inner + part).join(",\n")}\n${margin}${close}`;
}

/** About what a phone shows without scrolling sideways. */
const LINE = 60;

function fits(parts: string[]): boolean {
  let length = 0;
  return parts.every((part) => (length += part.length + 2) <= LINE);
}

/** What JavaScript calls by that value; whole numbers that it would round are a bigint. */
export function plain(value: Json): unknown {
  if (value instanceof Num) return number(value.source);
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Map) {
    const object: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
    for (const [name, item] of value) object[name] = plain(item);
    return object;
  }
  return value;
}

function number(source: string): number | bigint {
  const rounded = Number(source);
  return !Number.isSafeInteger(rounded) && /^-?\d+$/.test(source) ? BigInt(source) : rounded;
}

/** The opposite of `plain`. What JSON has no word for becomes null. */
export function fromPlain(value: unknown): Json {
  if (typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "bigint" || (typeof value === "number" && Number.isFinite(value))) return new Num(String(value));
  if (Array.isArray(value)) return value.map(fromPlain);
  if (typeof value === "object" && value !== null) {
    return new Map(Object.entries(value).map(([name, item]) => [name, fromPlain(item)]));
  }
  return null;
}

/** Whether the two say the same: 1 and 1.0 do, in Python's JSON and here. */
export function same(one: Json, other: Json): boolean {
  if (one instanceof Num && other instanceof Num) {
    return one.source === other.source || number(one.source) === number(other.source);
  }
  if (Array.isArray(one) && Array.isArray(other)) {
    return one.length === other.length && one.every((item, index) => same(item, other[index] as Json));
  }
  if (one instanceof Map && other instanceof Map) {
    return one.size === other.size && [...one].every(([name, item]) => other.has(name) && same(item, other.get(name) as Json));
  }
  return one === other;
}
