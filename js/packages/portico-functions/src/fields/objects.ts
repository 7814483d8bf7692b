/** Fields of named values: objects, whose names are known, and maps, whose names are given too. */

import { button, el, newId, sign, signButton } from "../dom.ts";
import type { Json, JsonObject } from "../json.ts";
import type { Shape } from "../shape.ts";
import { Field, MISSING, type Path, type Place, type Problem } from "./field.ts";
import type { Make } from "./lists.ts";
import { placeOf } from "./place.ts";

/** Named fields below each other. The fields of a whole form are one such, without a frame around it. */
export class ObjectField extends Field {
  readonly control: HTMLFieldSetElement;
  readonly element: HTMLElement;
  readonly fields: { name: string; field: Field }[];
  readonly #rest: MapField | undefined;

  constructor(place: Place, hint: string, shape: Extract<Shape, { kind: "object" }>, type: string, make: Make) {
    super(place, hint);
    this.fields = shape.properties.map((property) => ({ name: property.name, field: make(property.schema, placeOf(property, place)) }));
    if (shape.rest !== undefined) {
      const more = { ...place, label: "Further names", required: false, nullable: false, part: false, depth: place.depth + 1, otherwise: undefined };
      this.#rest = new MapField(more, "", { kind: "map", value: shape.rest, least: 0 }, "names and values", make);
    }
    const all = [...this.fields.map(({ field }) => field.element), ...(this.#rest === undefined ? [] : [this.#rest.element])];
    this.control = this.grouped(type, el("div", { class: "fields" }, ...all));
    this.element = this.control;
    this.describe();
  }

  override clear(): void {
    super.clear();
    this.#rest?.clear();
    for (const { field } of this.fields) field.clear();
  }

  override read(problems: Problem[]): JsonObject {
    const object: JsonObject = new Map();
    for (const { name, field } of this.fields) {
      const value = field.read(problems);
      if (value !== undefined) object.set(name, value);
    }
    for (const [name, value] of this.#rest?.read(problems) ?? []) if (!object.has(name)) object.set(name, value);
    return object;
  }

  override write(value: Json | undefined): void {
    const given: JsonObject = value instanceof Map ? value : new Map();
    for (const { name, field } of this.fields) field.write(given.has(name) ? given.get(name) : field.place.otherwise);
    const known = new Set(this.fields.map(({ name }) => name));
    this.#rest?.write(new Map([...given].filter(([name]) => !known.has(name))));
  }

  override at([name, ...rest]: Path): Field | null {
    const found = this.fields.find((field) => field.name === name);
    if (found !== undefined) return found.field.at(rest);
    return name !== undefined && this.#rest !== undefined ? this.#rest.at([name, ...rest]) : this;
  }
}

interface Entry {
  key: HTMLInputElement;
  field: Field;
  element: HTMLElement;
}

export class MapField extends Field {
  readonly control: HTMLFieldSetElement;
  readonly element: HTMLElement;
  readonly #entries: Entry[] = [];
  readonly #list = el("ol", { class: "rows" });
  readonly #add: HTMLButtonElement;

  constructor(place: Place, hint: string, readonly shape: Extract<Shape, { kind: "map" }>, type: string, readonly make: Make) {
    super(place, hint);
    this.#add = button("", () => this.#grow(), { class: "small add", "aria-label": `Add a name to ${place.label}` });
    this.#add.append(sign("add"), "Add a name");
    this.control = this.grouped(type, this.#list, this.#add);
    this.element = this.control;
    this.describe();
  }

  #entry(name: string): Entry {
    const { root, label, depth } = this.place;
    const part = { root, name: this.place.name, label: `${label}: value`, required: true, nullable: false, part: true, depth: depth + 1, otherwise: undefined };
    const field = this.make(this.shape.value, part);
    const key = el("input", { type: "text", id: newId(), class: "key", placeholder: "name", autocomplete: "off", spellcheck: "false", dir: "auto" });
    key.value = name;
    const element = el("li", { class: "row" }, el("div", { class: "cell entry" }, key, field.element));
    const entry = { key, field, element };
    element.append(el("div", { class: "moves" }, signButton("remove", "", () => this.#remove(entry))));
    this.#entries.push(entry);
    this.#list.append(element);
    return entry;
  }

  #grow(): void {
    const entry = this.#entry("");
    entry.field.write(undefined);
    this.#number();
    entry.key.focus();
    this.element.dispatchEvent(new Event("input", { bubbles: true }));
  }

  #remove(entry: Entry): void {
    const at = this.#entries.indexOf(entry);
    this.#entries.splice(at, 1);
    entry.element.remove();
    this.#number();
    (this.#entries[Math.min(at, this.#entries.length - 1)]?.key ?? this.#add).focus();
    this.element.dispatchEvent(new Event("input", { bubbles: true }));
  }

  #number(): void {
    const { label } = this.place;
    this.#entries.forEach(({ key, field, element }, index) => {
      key.setAttribute("aria-label", `${label}: name ${index + 1}`);
      if (!(field.control instanceof HTMLFieldSetElement)) field.control.setAttribute("aria-label", `${label}: value ${index + 1}`);
      const remove = element.querySelector<HTMLButtonElement>(":scope > .moves > button");
      remove?.setAttribute("aria-label", `Remove: ${label} ${index + 1}`);
      if (remove) remove.title = "Remove";
    });
    this.#list.hidden = this.#entries.length === 0;
  }

  override focus(): void {
    (this.#entries[0]?.key ?? this.#add).focus();
  }

  override clear(): void {
    super.clear();
    for (const { key, field } of this.#entries) {
      key.removeAttribute("aria-invalid");
      field.clear();
    }
  }

  override read(problems: Problem[]): JsonObject {
    const object: JsonObject = new Map();
    for (const { key, field } of this.#entries) {
      const value = field.read(problems);
      const name = key.value;
      if (object.has(name)) problems.push({ field: this, text: `The name "${name}" is there twice.` });
      else object.set(name, value ?? null);
    }
    if (object.size < this.shape.least) problems.push({ field: this, text: MISSING });
    return object;
  }

  override write(value: Json | undefined): void {
    for (const { element } of this.#entries.splice(0)) element.remove();
    for (const [name, item] of value instanceof Map ? value : []) this.#entry(name).field.write(item);
    this.#number();
  }

  override at([name, ...rest]: Path): Field | null {
    const entry = this.#entries.find(({ key }) => key.value === String(name));
    return entry === undefined ? this : rest[0] === "[key]" ? this : entry.field.at(rest);
  }
}
