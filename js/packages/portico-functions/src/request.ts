/** From what is entered to what is sent. Knows no document. */

import type { FunctionAbout } from "./about.ts";
import { encode, type Json, type JsonObject } from "./json.ts";
import { resolved, type Schema } from "./shape.ts";

/** One call: the values by name, and the files. */
export interface Call {
  values: JsonObject;
  files: readonly { name: string; file: File }[];
}

/** The path of *one* from the service's root. Where it is the only function, it needs no name. */
export function pathOf(one: FunctionAbout, functions: readonly FunctionAbout[]): string {
  return functions.length === 1 ? "run" : `${encodeURIComponent(one.name)}/run`;
}

export function bodyOf(call: Call, one: FunctionAbout): string | FormData {
  if (call.files.length === 0) return encode(call.values);
  const form = new FormData();
  for (const [name, text] of textsOf(call.values, one)) form.append(name, text);
  for (const { name, file } of call.files) form.append(name, file, file.name);
  return form;
}

/** Each value as the text of a form or a query: a text as it is where texts are taken, else JSON. Null is left out. */
export function textsOf(values: JsonObject, one: FunctionAbout): [string, string][] {
  const properties = (one.schema["properties"] ?? {}) as Record<string, Schema>;
  return [...values]
    .filter(([, value]) => value !== null)
    .map(([name, value]) => [name, typeof value === "string" && takesText(properties[name] ?? {}, one.schema) ? value : encode(value)]);
}

/** Whether *call* can be said in a query: null cannot, nor a value where a text would be taken for another. */
export function fitsQuery(call: Call, one: FunctionAbout): boolean {
  const properties = (one.schema["properties"] ?? {}) as Record<string, Schema>;
  if (call.files.length > 0) return false;
  return [...call.values].every(([name, value]) => {
    if (value === null) return properties[name]?.["default"] === null;
    return typeof value === "string" || Array.isArray(value) || !takesText(properties[name] ?? {}, one.schema);
  });
}

/** Levels of references and kinds that are looked through: a schema may hold itself. */
const DEEPEST = 20;

/** Whether a text stands for itself, and not for JSON. */
function takesText(given: Schema, root: Schema, depth = 0): boolean {
  const schema = resolved(given, root);
  if (depth > DEEPEST) return false;
  const kinds = [schema["anyOf"], schema["oneOf"], schema["allOf"]].find((all) => Array.isArray(all) && all.length > 0);
  if (Array.isArray(kinds)) return kinds.some((kind) => takesText(kind as Schema, root, depth + 1));
  const type = schema["type"];
  const types = Array.isArray(type) ? type : [type];
  if (types.includes("array")) return types.includes("string");
  const values: unknown[] = Array.isArray(schema["enum"]) ? schema["enum"] : "const" in schema ? [schema["const"]] : [];
  return types.includes("string") || values.some((value) => typeof value === "string");
}

/** The names of *one*'s parameters that are secret: pydantic's `SecretStr` says so. */
export function secretsOf(one: FunctionAbout): string[] {
  const properties = (one.schema["properties"] ?? {}) as Record<string, Schema>;
  const secret = (given: Schema): boolean => {
    const schema = resolved(given, one.schema);
    const kinds = Array.isArray(schema["anyOf"]) ? (schema["anyOf"] as Schema[]) : [];
    return schema["format"] === "password" || schema["writeOnly"] === true || kinds.some((kind) => resolved(kind, one.schema)["format"] === "password");
  };
  return Object.entries(properties).flatMap(([name, schema]) => (secret(schema) ? [name] : []));
}

/** *values* in few words, for a list of calls. */
export function summaryOf(call: { values: JsonObject; files: readonly string[]; secrets?: readonly string[] }): string {
  const said = [...call.values].map(([name, value]) => `${name}=${call.secrets?.includes(name) === true ? "…" : short(value)}`);
  return [...said, ...call.files].join(", ");
}

function short(value: Json): string {
  const text = typeof value === "string" ? JSON.stringify(value.slice(0, 60)) : encode(value);
  return text.length > 40 ? `${[...text].slice(0, 39).join("")}…` : text;
}
