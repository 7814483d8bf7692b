/** Fields that are one thing or another: of several kinds, or there at all. */

import { el, newId } from "../dom.ts";
import { type Json, Num, same } from "../json.ts";
import { named, resolved, type Schema, type Shape, shapeOf } from "../shape.ts";
import { Field, type Path, type Place, type Problem } from "./field.ts";
import type { Make } from "./lists.ts";

/** Kinds that hold others are not opened by themselves any deeper: one may hold itself. */
const OPENED = 2;

export class UnionField extends Field {
  readonly control: HTMLFieldSetElement;
  readonly element: HTMLElement;
  readonly #picker: HTMLSelectElement;
  readonly #body = el("div", { class: "body" });
  readonly #names: string[];
  #chosen = -1;
  #field: Field | undefined;

  constructor(place: Place, hint: string, readonly shape: Extract<Shape, { kind: "union" }>, type: string, readonly make: Make) {
    super(place, hint);
    this.#names = shape.variants.map((variant) => nameOf(variant, place.root, shape.tag));
    this.#picker = el(
      "select",
      { id: newId(), "aria-label": `${place.label}: which kind`, autocomplete: "off", on: { change: () => this.#choose(Number(this.#picker.value)) } },
      el("option", { value: "-1", text: "Choose…" }),
      ...this.#names.map((name, index) => el("option", { value: String(index), text: name })),
    );
    this.control = this.grouped(type, el("div", { class: "kinds" }, this.#picker), this.#body);
    this.element = this.control;
    this.describe();
  }

  #choose(index: number, value?: Json): void {
    this.#picker.value = String(index);
    this.#chosen = index;
    const variant = this.shape.variants[index];
    this.#field = undefined;
    if (variant !== undefined) {
      const { label, depth } = this.place;
      const place = { ...this.place, label: `${label}: ${this.#names[index] ?? ""}`, required: true, nullable: false, part: true, depth: depth + 1, otherwise: undefined };
      this.#field = this.make(variant, place);
      this.#field.write(value);
    }
    this.#body.replaceChildren(...(this.#field === undefined ? [] : [this.#field.element]));
  }

  override focus(): void {
    if (this.#field === undefined) this.#picker.focus();
    else super.focus();
  }

  override clear(): void {
    super.clear();
    this.#field?.clear();
  }

  override read(problems: Problem[]): Json | undefined {
    if (this.#field !== undefined) return this.#field.read(problems);
    if (this.place.required || this.place.part) problems.push({ field: this, text: "Choose one." });
    return undefined;
  }

  override write(value: Json | undefined): void {
    const { root, depth, required } = this.place;
    if (value !== undefined) {
      const fits = this.shape.variants.findIndex((variant) => accepts(variant, value, root));
      this.#choose(fits, value);
      return;
    }
    const first = this.shape.variants[0] as Schema;
    const deep = ["object", "union"].includes(shapeOf(first, root).kind);
    this.#choose(!required || (deep && depth > OPENED) ? -1 : 0);
  }

  /** pydantic puts the kind between the field and what is below it. */
  override at(path: Path): Field | null {
    if (this.#field === undefined || path.length === 0) return this;
    const [kind, ...rest] = path;
    const names = this.shape.variants.map((variant) => spelled(variant, this.place.root, this.shape.tag));
    const meant = names.findIndex((all) => typeof kind === "string" && all.some((name) => kind === name || kind.startsWith(`${name}[`)));
    if (meant >= 0) return meant === this.#chosen ? this.#field.at(rest) : null;
    const direct = this.#field.at(path);
    return direct === this.#field && rest.length > 0 ? this.#field.at(rest) : direct;
  }
}

/** A kind in words; by its tag, where it has one. */
function nameOf(variant: Schema, root: Schema, tag: string | undefined): string {
  const value = tagOf(variant, root, tag);
  const title = resolved(variant, root)["title"];
  if (value !== undefined) return value;
  return typeof title === "string" && shapeOf(variant, root).kind === "object" ? title : named(variant, root, 1);
}

function tagOf(variant: Schema, root: Schema, tag: string | undefined): string | undefined {
  if (tag === undefined) return undefined;
  const properties = resolved(variant, root)["properties"] as Record<string, Schema> | undefined;
  const value = properties?.[tag]?.["const"];
  return typeof value === "string" ? value : undefined;
}

/** How pydantic spells a kind in the place of an error. */
function spelled(variant: Schema, root: Schema, tag: string | undefined): string[] {
  const schema = resolved(variant, root);
  const shape = shapeOf(variant, root);
  const title = typeof schema["title"] === "string" ? [schema["title"]] : [];
  const value = tagOf(variant, root, tag);
  switch (shape.kind) {
    case "number":
      return shape.whole ? ["int", "constrained-int"] : ["float", "decimal", "constrained-float"];
    case "text":
      return ["str", "constrained-str", shape.format].filter((name) => name !== "");
    case "boolean":
      return ["bool"];
    case "moment":
      return [shape.moment];
    case "list":
    case "choices":
      return ["list", "set", "frozenset", "tuple"];
    case "tuple":
      return ["tuple", ...title];
    case "map":
      return ["dict"];
    case "choice":
      return ["literal", "enum", ...title];
    case "bytes":
      return ["bytes"];
    default:
      return value === undefined ? title : [value, ...title];
  }
}

/** Whether *value* looks like one of *schema*: enough to find the kind that it was written as. */
function accepts(schema: Schema, value: Json, root: Schema, depth = 0): boolean {
  const shape = shapeOf(schema, root);
  if (depth > 4) return true;
  switch (shape.kind) {
    case "text":
    case "moment":
    case "bytes":
      return typeof value === "string";
    case "number":
      return shape.exact ? typeof value === "string" : value instanceof Num && (!shape.whole || /^-?\d+$/.test(value.source));
    case "boolean":
      return typeof value === "boolean";
    case "choice":
      return shape.options.some((option) => same(option, value));
    case "list":
      return Array.isArray(value) && value.slice(0, 5).every((item) => accepts(shape.item, item, root, depth + 1));
    case "choices":
    case "tuple":
      return Array.isArray(value);
    case "map":
      return value instanceof Map;
    case "object":
      return (
        value instanceof Map &&
        shape.properties.every(({ name, schema: part, required }) => (value.has(name) ? accepts(part, value.get(name) as Json, root, depth + 1) : !required)) &&
        [...value.keys()].every((name) => shape.rest !== undefined || shape.properties.some((property) => property.name === name))
      );
    case "union":
      return shape.variants.some((variant) => accepts(variant, value, root, depth + 1));
    case "optional":
      return value === null || accepts(shape.inner, value, root, depth + 1);
    case "nothing":
      return value === null;
    case "json":
      return true;
  }
}

/** A value that may be left out, or be null, and has too many parts to say so by being empty: a box to tick. */
export class OptionalField extends Field {
  readonly control: HTMLInputElement;
  readonly element: HTMLElement;
  readonly #body = el("div", { class: "body", hidden: true });
  #field: Field | undefined;

  constructor(
    place: Place,
    hint: string,
    readonly inner: Schema,
    type: string,
    readonly make: Make,
  ) {
    super(place, hint);
    this.control = el("input", { type: "checkbox", autocomplete: "off", on: { change: () => this.#show(this.control.checked, undefined) } });
    this.element = this.labelled(place.nullable ? `${type}, optional` : type, this.#body);
    this.element.classList.add("ticked", "wide");
    (this.element.querySelector(".head") ?? this.element).prepend(this.control);
  }

  #show(is: boolean, value: Json | undefined): void {
    this.control.checked = is;
    this.#body.hidden = !is;
    if (is && this.#field === undefined) {
      this.#field = this.make(this.inner, { ...this.place, required: true, nullable: false, part: true, otherwise: undefined });
      this.#body.append(this.#field.element);
      this.#field.write(value);
    } else if (is && value !== undefined) this.#field?.write(value);
  }

  override clear(): void {
    super.clear();
    this.#field?.clear();
  }

  override read(problems: Problem[]): Json | undefined {
    if (this.control.checked && this.#field !== undefined) return this.#field.read(problems);
    const { nullable, required, part, otherwise } = this.place;
    return nullable && (required || part || (otherwise !== undefined && otherwise !== null)) ? null : undefined;
  }

  override write(value: Json | undefined): void {
    const is = value !== undefined && value !== null;
    this.#show(is, value);
  }

  override at(path: Path): Field | null {
    return this.control.checked && this.#field !== undefined && path.length > 0 ? this.#field.at(path) : this;
  }
}
