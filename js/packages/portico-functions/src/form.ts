/** The form of one function: a field for each parameter, what they hold, and what is wrong with them. */

import type { FunctionAbout } from "./about.ts";
import { el } from "./dom.ts";
import { make } from "./fields/make.ts";
import { Field, type Place, type Problem } from "./fields/field.ts";
import { EncodedFileField, FilesField } from "./fields/files.ts";
import { MapField } from "./fields/objects.ts";
import { placeOf } from "./fields/place.ts";
import { TableField } from "./fields/tables.ts";
import { type Json, type JsonObject, parse } from "./json.ts";
import type { Call } from "./request.ts";
import { labelOf, type Property, resolved, type Schema, shapeOf } from "./shape.ts";

export class Form {
  readonly element: HTMLElement;
  readonly #fields: { name: string; field: Field }[];
  /** For what a function with `**kwargs` takes besides. */
  readonly #further: MapField | undefined;
  readonly #general = el("p", { class: "error", hidden: true, tabindex: "-1" });

  constructor(readonly one: FunctionAbout) {
    const shape = shapeOf({ ...one.schema, type: "object" }, one.schema);
    const properties = shape.kind === "object" ? shape.properties : [];
    this.#fields = properties.map((property) => ({ name: property.name, field: this.#field(property) }));
    const rest = shape.kind === "object" ? shape.rest : one.schema["additionalProperties"] === undefined ? undefined : shape.kind === "map" ? shape.value : undefined;
    if (rest !== undefined) {
      const place: Place = { root: one.schema, name: "", label: "Further names", required: false, nullable: false, part: false, depth: 1, otherwise: undefined };
      this.#further = new MapField(place, "", { kind: "map", value: rest, least: 0 }, "names and values", make);
    }
    const parts = this.#fields.map(({ field }) => field.element);
    if (this.#further !== undefined) parts.push(this.#further.element);
    this.element = el("div", { class: "fields" }, ...(parts.length > 0 ? parts : [el("p", { class: "dim nothing", text: "It takes nothing: run it." })]), this.#general);
    this.write(new Map());
  }

  #field(property: Property): Field {
    const { schema: root, uploads } = this.one;
    const place = placeOf(property, { root, depth: 0 });
    return uploads.includes(property.name) ? uploadOf(property.schema, place) : make(property.schema, place);
  }

  get #all(): Field[] {
    return [...this.#fields.map(({ field }) => field), ...(this.#further === undefined ? [] : [this.#further])];
  }

  /** What is entered; *problems* gets what is wrong with it. */
  read(problems: Problem[]): Call {
    const values: JsonObject = new Map();
    const files: { name: string; file: File }[] = [];
    for (const { name, field } of this.#fields) {
      const value = field.read(problems);
      const given = field instanceof FilesField || field instanceof TableField ? field.files : [];
      for (const file of given) files.push({ name, file });
      if (value !== undefined && given.length === 0) values.set(name, value);
    }
    for (const [name, value] of this.#further?.read(problems) ?? []) if (!values.has(name)) values.set(name, value);
    return { values, files };
  }

  /** Show *values*; what they do not name shows its default. Files are taken out. */
  write(values: JsonObject): void {
    this.clear();
    for (const { name, field } of this.#fields) field.write(values.has(name) ? values.get(name) : field.place.otherwise);
    const known = new Set(this.#fields.map(({ name }) => name));
    this.#further?.write(new Map([...values].filter(([name]) => !known.has(name))));
  }

  /** Put back *files*, which were chosen before. */
  give(files: Call["files"]): void {
    for (const { name, field } of this.#fields) {
      const mine = files.filter((one) => one.name === name).map(({ file }) => file);
      if (mine.length > 0 && field instanceof FilesField) field.give(mine);
      if (mine.length > 0 && field instanceof TableField) field.give(mine);
    }
  }

  /** Fill in what a link says: texts, which are JSON where a field takes no text. Names that there are not are left. */
  fill(query: URLSearchParams): void {
    const values: JsonObject = new Map();
    for (const { name, field } of this.#fields) {
      const texts = query.getAll(name).map((text) => text.slice(0, LONGEST));
      if (texts.length === 0) continue;
      if (!(field instanceof FilesField) || field instanceof EncodedFileField) values.set(name, linkedValue(texts, this.#schema(name), this.one.schema));
    }
    this.write(values);
  }

  #schema(name: string): Schema {
    return ((this.one.schema["properties"] ?? {}) as Record<string, Schema>)[name] ?? {};
  }

  clear(): void {
    this.#general.hidden = true;
    this.#general.textContent = "";
    for (const field of this.#all) field.clear();
  }

  /** Say each problem at its field, and go to the first. */
  complain(problems: readonly Problem[]): void {
    for (const { field, text } of problems) field.complain(text);
    this.#first()?.focus();
  }

  /** The same for what the server says: each at the field that its `loc` names, or else below all. How many there are. */
  refuse(details: readonly { loc: (string | number)[]; msg: string }[]): number {
    let said = 0;
    const hidden: { field: Field; text: string }[] = [];
    for (const { loc, msg } of details) {
      const [first, ...rest] = ["body", "query", "path"].includes(String(loc[0])) ? loc.slice(1) : loc;
      const top = this.#fields.find(({ name }) => name === String(first))?.field ?? (first === undefined ? undefined : this.#further);
      const field = top === undefined ? undefined : top === this.#further ? top.at([String(first), ...rest]) : top.at(rest);
      if (field === null && top !== undefined) {
        hidden.push({ field: top, text: msg });
        continue;
      }
      said += 1;
      if (field instanceof Field && field.control.isConnected && !field.element.hidden) field.complain(msg);
      else {
        const where = first === undefined ? "" : `${[first, ...rest].join(".")}: `;
        this.#general.textContent = [...(this.#general.hidden ? [] : [this.#general.textContent]), where + msg].join("\n");
        this.#general.hidden = false;
      }
    }
    // What is wrong with kinds that were not chosen counts where nothing else is said.
    if (said === 0) {
      for (const { field, text } of hidden) field.complain(text);
      said = hidden.length;
    }
    (this.#first() ?? this.#general).focus();
    return said;
  }

  /** What to focus: the first control of the page's order with something wrong. */
  #first(): { focus(): void } | undefined {
    const bad = this.element.querySelector<HTMLElement>('[aria-invalid="true"]');
    if (bad === null) return undefined;
    return this.#all.find((field) => field.control === bad) ?? bad; // a group is focused at what in it can be changed
  }
}

/** Characters of one value of a link. Browsers take far longer addresses; no person writes one. */
const LONGEST = 100_000;

/** What a link's texts for one parameter stand for: JSON where the parameter takes no text; a list, of several. */
function linkedValue(texts: readonly string[], schema: Schema, root: Schema): Json {
  const outer = shapeOf(schema, root);
  const shape = outer.kind === "optional" ? shapeOf(outer.inner, root) : outer;
  const [first = ""] = texts;
  if (shape.kind === "text" || shape.kind === "moment" || shape.kind === "bytes") return first;
  if (shape.kind === "choice") return chosen(first, shape.options);
  if (shape.kind === "choices") return texts.length === 1 && first.startsWith("[") ? valueOf(first) : texts.map((text) => chosen(text, shape.options));
  if (shape.kind !== "list") return valueOf(first);
  const whole = texts.length === 1 ? valueOf(first) : undefined;
  if (Array.isArray(whole)) return whole;
  const item = shapeOf(shape.item, root).kind;
  return texts.map((text) => (item === "text" || item === "moment" ? text : valueOf(text)));
}

/** The option that *text* is, or else the one that is shown so. */
function chosen(text: string, options: readonly Json[]): Json {
  return options.find((option) => option === text) ?? options.find((option) => labelOf(option) === text) ?? valueOf(text);
}

/** *text* as JSON; the text, if it is none. */
function valueOf(text: string): Json {
  try {
    return parse(text);
  } catch {
    return text;
  }
}

/** In a schema: the media types and endings that a file for it may have. */
const UPLOAD = "x-portico-upload";

/** The field of a parameter that is sent as a file, by what its JSON looks like. */
function uploadOf(schema: Schema, place: Place): Field {
  const { root } = place;
  const outer = shapeOf(schema, root);
  const inner = outer.kind === "optional" ? outer.inner : schema;
  const whole = { ...resolved(inner, root), ...resolved(schema, root) };
  const said = whole["description"];
  const hint = typeof said === "string" ? said.trim() : "";
  const optional = place.nullable || !place.required ? ", optional" : "";
  if (isTable(inner, root)) return new TableField(place, hint, true, acceptOf(inner, root), `table${optional}`);
  const shape = shapeOf(inner, root);
  if (shape.kind === "list" && shapeOf(shape.item, root).kind === "bytes") {
    const accept = acceptOf(shape.item, root);
    return new FilesField(place, hint, true, accept, `${accept === PICTURES ? "images" : "files"}${optional}`);
  }
  if (shape.kind === "list" || resolved(inner, root)["type"] === "array") {
    return new TableField(place, hint, false, acceptOf(inner, root), `array${optional}`);
  }
  const accept = acceptOf(inner, root);
  return new FilesField(place, hint, false, accept, `${accept === PICTURES ? "image" : "file"}${optional}`);
}

const PICTURES = "image/*";

/** What a browser offers first: any picture where pictures are named. */
function acceptOf(schema: Schema, root: Schema): string {
  const found = resolved(schema, root);
  const types = Array.isArray(found[UPLOAD]) ? found[UPLOAD].map(String) : [String(found["contentMediaType"] ?? "*/*")];
  if (types.every((type) => type.startsWith("image/"))) return PICTURES;
  return types.includes("*/*") || types.includes("application/octet-stream") ? "" : types.join(",");
}

/** A list of records, or a list for each column. */
function isTable(schema: Schema, root: Schema): boolean {
  const shape = shapeOf(schema, root);
  if (shape.kind !== "union" || shape.variants.length !== 2) return false;
  const [records, columns] = shape.variants.map((variant) => shapeOf(variant, root));
  if (records?.kind !== "list" || columns?.kind !== "map") return false;
  const record = shapeOf(records.item, root);
  return record.kind === "map" || record.kind === "object";
}
