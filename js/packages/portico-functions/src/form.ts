/** The form of one function: a field for each parameter, what they hold, and what is wrong with them. */

import type { FunctionAbout } from "./about.ts";
import { el } from "./dom.ts";
import { make } from "./fields/make.ts";
import { Field, type Place, type Problem } from "./fields/field.ts";
import { FilesField } from "./fields/files.ts";
import { MapField } from "./fields/objects.ts";
import { placeOf } from "./fields/place.ts";
import { TableField } from "./fields/tables.ts";
import { type Json, type JsonObject, parse } from "./json.ts";
import type { Call } from "./request.ts";
import { type Property, resolved, type Schema, shapeOf } from "./shape.ts";

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
      const shape = shapeOf(this.#schema(name), this.one.schema);
      const inner = shape.kind === "optional" ? shapeOf(shape.inner, this.one.schema) : shape;
      const many = inner.kind === "list" || inner.kind === "choices";
      const read = texts.map((text) => valueOf(text, many || inner.kind === "text" || inner.kind === "moment", many));
      const [first] = read;
      if (field instanceof FilesField || first === undefined) continue;
      values.set(name, many && !(read.length === 1 && Array.isArray(first)) ? read : first);
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

function valueOf(text: string, asText: boolean, many: boolean): Json {
  if (asText && !(many && text.trimStart().startsWith("["))) {
    if (!many) return text;
  }
  try {
    return parse(text);
  } catch {
    return text;
  }
}

/** The field of a parameter that is sent as a file, by what its JSON looks like. */
function uploadOf(schema: Schema, place: Place): Field {
  const { root } = place;
  const outer = shapeOf(schema, root);
  const inner = outer.kind === "optional" ? outer.inner : schema;
  const shape = shapeOf(inner, root);
  const whole = { ...resolved(inner, root), ...resolved(schema, root) };
  const said = whole["description"];
  const hint = typeof said === "string" ? said.trim() : "";
  const optional = place.nullable || !place.required ? ", optional" : "";
  if (isTable(inner, root)) return new TableField(place, hint, true, `table${optional}`);
  if (shape.kind === "list") {
    const item = shapeOf(shape.item, root);
    if (item.kind === "bytes" || item.kind === "text") {
      return new FilesField(place, hint, true, item.kind === "bytes" ? acceptOf(item.accept) : "", `files${optional}`);
    }
    return new TableField(place, hint, false, `array${optional}`);
  }
  if (resolved(inner, root)["type"] === "array") return new TableField(place, hint, false, `array${optional}`);
  const accept = shape.kind === "bytes" ? acceptOf(shape.accept) : "";
  return new FilesField(place, hint, false, accept, `${accept.startsWith("image/") ? "image" : "file"}${optional}`);
}

/** What a browser offers first: any picture where one kind of picture is named. */
function acceptOf(media: string): string {
  if (media === "" || media === "application/octet-stream") return "";
  return media.startsWith("image/") ? "image/*" : media;
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
