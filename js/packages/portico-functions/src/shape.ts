/**
 * What a JSON Schema asks a form for: a text, a number, a list...
 *
 * Here: reading schemas, as pydantic writes them (2020-12), one level at a time, so that one that refers to itself has no end
 * only where somebody goes on opening it. Not here: what a field looks like. Knows no document.
 */

import { encode, fromPlain, type Json } from "./json.ts";

export interface Schema {
  [key: string]: unknown;
}

export interface Property {
  name: string;
  schema: Schema;
  required: boolean;
}

export type Moment = "date" | "time" | "datetime";

/** What is asked for. Parts are schemas still: `shapeOf` reads them when they are needed. */
export type Shape =
  | { kind: "text"; format: string; lines: boolean; least: number | undefined; most: number | undefined }
  | { kind: "number"; whole: boolean; exact: boolean; bounds: Bounds }
  | { kind: "boolean" }
  | { kind: "choice"; options: Json[] }
  | { kind: "moment"; moment: Moment }
  | { kind: "choices"; options: Json[] }
  | { kind: "list"; item: Schema; least: number; most: number }
  | { kind: "tuple"; items: Schema[]; least: number; rest: Schema | undefined }
  | { kind: "object"; properties: Property[]; rest: Schema | undefined }
  | { kind: "map"; value: Schema; least: number }
  | { kind: "union"; variants: Schema[]; tag: string | undefined }
  | { kind: "optional"; inner: Schema }
  | { kind: "bytes"; accept: string }
  | { kind: "nothing" }
  | { kind: "json"; lenient: boolean };

export interface Bounds {
  least?: number | bigint;
  most?: number | bigint;
  above?: number | bigint;
  below?: number | bigint;
  step?: number | bigint;
}

/** Follows at most so many references in a row: one that leads back to itself has no end. */
const REFERENCES = 32;

/** *schema*, with what its reference leads to; what stands beside the reference counts more. */
export function resolved(schema: Schema, root: Schema): Schema {
  let found = schema;
  for (let step = 0; step < REFERENCES; step += 1) {
    const all = found["allOf"];
    const one = Array.isArray(all) && all.length === 1 ? record(all[0]) : undefined;
    const reference = found["$ref"];
    if (typeof reference === "string") {
      const { $ref: _, ...beside } = found;
      found = { ...(record(target(reference, root)) ?? {}), ...beside };
    } else if (one !== undefined) {
      const { allOf: _, ...beside } = found;
      found = { ...one, ...beside };
    } else return found;
  }
  return {};
}

/** What a JSON Pointer in a fragment leads to (RFC 6901). */
function target(reference: string, root: Schema): unknown {
  if (!reference.startsWith("#")) return undefined;
  let found: unknown = root;
  for (const part of reference.slice(1).split("/").slice(1)) {
    const name = unescaped(part).replaceAll("~1", "/").replaceAll("~0", "~");
    const within: Schema | undefined = record(found);
    found = within !== undefined && Object.hasOwn(within, name) ? within[name] : undefined;
  }
  return found;
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a lone per cent sign is one
  }
}

function record(value: unknown): Schema | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Schema) : undefined;
}

function schemas(value: unknown): Schema[] {
  return Array.isArray(value) ? value.map((one) => record(one) ?? {}) : [];
}

function count(value: unknown, otherwise: number): number {
  return typeof value === "number" && value >= 0 ? value : otherwise;
}

function limit(value: unknown): number | bigint | undefined {
  return typeof value === "number" || typeof value === "bigint" ? value : undefined;
}

/** What *schema*, of the document *root*, asks for. What no field of ours fits is asked for as JSON. */
export function shapeOf(given: Schema, root: Schema): Shape {
  const schema = resolved(given, root);
  const options = optionsOf(schema);
  if (options !== undefined) return options.length === 1 && options[0] === null ? { kind: "nothing" } : { kind: "choice", options };
  const variants = [...schemas(schema["anyOf"]), ...schemas(schema["oneOf"])];
  if (variants.length > 0) return unionOf(schema, variants, root);
  const type = schema["type"];
  if (Array.isArray(type)) return unionOf(schema, type.map((one: unknown) => ({ ...schema, type: one, default: undefined })), root);
  switch (type) {
    case "string":
      return textOf(schema);
    case "integer":
    case "number":
      return { kind: "number", whole: type === "integer", exact: false, bounds: boundsOf(schema) };
    case "boolean":
      return { kind: "boolean" };
    case "null":
      return { kind: "nothing" };
    case "array":
      return listOf(schema, root);
    case "object":
      return objectOf(schema);
  }
  if (record(schema["properties"]) !== undefined) return objectOf(schema);
  return { kind: "json", lenient: type === undefined };
}

function optionsOf(schema: Schema): Json[] | undefined {
  if (Object.hasOwn(schema, "const")) return [fromPlain(schema["const"])];
  return Array.isArray(schema["enum"]) ? schema["enum"].map(fromPlain) : undefined;
}

function textOf(schema: Schema): Shape {
  const format = typeof schema["format"] === "string" ? schema["format"] : "";
  if (format === "date" || format === "time") return { kind: "moment", moment: format };
  if (format === "date-time") return { kind: "moment", moment: "datetime" };
  const encoding = schema["contentEncoding"];
  const media = typeof schema["contentMediaType"] === "string" ? schema["contentMediaType"] : "";
  if (encoding === "base64" || format === "binary" || format === "base64") return { kind: "bytes", accept: media };
  const most = limit(schema["maxLength"]);
  const long = typeof schema["default"] === "string" && schema["default"].includes("\n");
  return {
    kind: "text",
    format,
    lines: long || ["textarea", "multiline", "multi-line"].includes(format) || (most !== undefined && most > LINE),
    least: Number(limit(schema["minLength"]) ?? 0) || undefined,
    most: most === undefined ? undefined : Number(most),
  };
}

/** A text that may have more characters than that is asked for in several lines. */
const LINE = 200;

function boundsOf(schema: Schema): Bounds {
  const bounds: Bounds = {};
  const named = [["least", "minimum"], ["most", "maximum"], ["above", "exclusiveMinimum"], ["below", "exclusiveMaximum"], ["step", "multipleOf"]] as const;
  for (const [name, keyword] of named) {
    const value = limit(schema[keyword]);
    if (value !== undefined) bounds[name] = value;
  }
  return bounds;
}

function listOf(schema: Schema, root: Schema): Shape {
  const most = count(schema["maxItems"], Number.POSITIVE_INFINITY);
  const least = count(schema["minItems"], 0);
  const prefix = schemas(schema["prefixItems"]);
  const item = record(schema["items"]);
  if (prefix.length > 0) return { kind: "tuple", items: prefix, least, rest: most > prefix.length ? item : undefined };
  if (item === undefined) return { kind: "json", lenient: false };
  const options = schema["uniqueItems"] === true ? optionsOf(resolved(item, root)) : undefined;
  if (options !== undefined && options.length <= MOST_BOXES) return { kind: "choices", options };
  return { kind: "list", item, least, most };
}

/** More choices than that are not shown as boxes to tick. */
const MOST_BOXES = 30;

function objectOf(schema: Schema): Shape {
  const named = record(schema["properties"]) ?? {};
  const required = Array.isArray(schema["required"]) ? schema["required"] : [];
  const more = schema["additionalProperties"];
  const rest = more === true ? {} : record(more);
  const properties = Object.entries(named).map(([name, property]) => ({
    name,
    schema: record(property) ?? {},
    required: required.includes(name),
  }));
  if (properties.length > 0) return { kind: "object", properties, rest };
  if (more === false) return { kind: "object", properties, rest: undefined };
  return { kind: "map", value: rest ?? {}, least: count(schema["minProperties"], 0) };
}

function unionOf(schema: Schema, all: Schema[], root: Schema): Shape {
  const rest = all.filter((variant) => shapeIsNothing(variant, root) === false);
  const mayBeNull = rest.length < all.length;
  if (rest.length === 0) return { kind: "nothing" };
  const discriminator = record(schema["discriminator"]);
  if (mayBeNull) {
    if (rest.length === 1) return { kind: "optional", inner: rest[0] as Schema };
    const inner: Schema = { oneOf: rest };
    if (discriminator !== undefined) inner["discriminator"] = discriminator;
    return { kind: "optional", inner };
  }
  if (rest.length === 1) return shapeOf(rest[0] as Schema, root);
  const types = rest.map((variant) => resolved(variant, root));
  // Decimal: a number, or a text that holds one. Sent as a text, it keeps all its digits.
  if (types.length === 2 && types[0]?.["type"] === "number" && types[1]?.["type"] === "string" && isDecimal(types[1])) {
    return { kind: "number", whole: false, exact: true, bounds: boundsOf(types[0]) };
  }
  const tag = typeof discriminator?.["propertyName"] === "string" ? discriminator["propertyName"] : undefined;
  return { kind: "union", variants: rest, tag };
}

function isDecimal(schema: Schema): boolean {
  const { type: _, pattern, title: __, ...more } = schema;
  return Object.keys(more).length === 0 && typeof pattern === "string" && pattern.includes("\\d");
}

function shapeIsNothing(schema: Schema, root: Schema): boolean {
  const found = resolved(schema, root);
  return found["type"] === "null" || (Object.hasOwn(found, "const") && found["const"] === null);
}

/** In words, for people: "integer", "list of text", "Cat". */
export function named(schema: Schema, root: Schema, depth = 0): string {
  const found = resolved(schema, root);
  const shape = shapeOf(schema, root);
  const inner = (part: Schema) => (depth > 2 ? "values" : named(part, root, depth + 1));
  const title = typeof schema["title"] === "string" ? schema["title"] : typeof found["title"] === "string" && "$ref" in schema ? found["title"] : "";
  switch (shape.kind) {
    case "text":
      return ({ uuid: "UUID", uri: "URL", email: "e-mail", path: "path", duration: "duration", password: "secret text" } as Record<string, string>)[shape.format] ?? "text";
    case "number":
      return shape.whole ? "integer" : shape.exact ? "decimal number" : "number";
    case "boolean":
      return "yes or no";
    case "choice":
      return title !== "" && depth > 0 ? title : shape.options.length === 1 ? labelOf(shape.options[0] as Json) : "choice";
    case "choices":
      return "choices";
    case "moment":
      return { date: "date", time: "time", datetime: "date and time" }[shape.moment];
    case "list":
      return `list of ${inner(shape.item)}`;
    case "tuple":
      return "tuple";
    case "object":
      return title || "object";
    case "map":
      return "names and values";
    case "union":
      return depth > 0 ? shape.variants.map(inner).join(" or ") : "one of several";
    case "optional":
      return inner(shape.inner);
    case "bytes":
      return "file";
    case "nothing":
      return "nothing";
    case "json":
      return "JSON";
  }
}

/** A value, as the label of a choice: texts without quotes. */
export function labelOf(value: Json): string {
  if (typeof value === "string") return value;
  if (value === null) return "none";
  if (typeof value === "boolean") return value ? "true" : "false";
  return encode(value);
}
