/** Fields of several values in a row: lists, which grow and are put in order, and tuples. */

import { button, el, sign, signButton } from "../dom.ts";
import { type Json, Num } from "../json.ts";
import { named, type Schema, type Shape, shapeOf } from "../shape.ts";
import { Field, type Path, type Place, type Problem } from "./field.ts";
import { JsonField, counted } from "./texts.ts";

export type Make = (schema: Schema, place: Place) => Field;

/** More rows than that are shown as one text of JSON: each is half a dozen elements, and nobody edits them one by one. */
const MOST_ROWS = 100;

interface Row {
  field: Field;
  element: HTMLElement;
}

export class ListField extends Field {
  readonly control: HTMLFieldSetElement;
  readonly element: HTMLElement;
  readonly #rows: Row[] = [];
  readonly #list = el("ol", { class: "rows" });
  readonly #add: HTMLButtonElement;
  readonly #said = el("span", { class: "away", role: "status" });
  /** In place of the rows, where there are too many. */
  #text: JsonField | undefined;

  constructor(
    place: Place,
    hint: string,
    readonly shape: Extract<Shape, { kind: "list" }>,
    type: string,
    readonly make: Make,
  ) {
    super(place, hint);
    const thing = named(shape.item, place.root);
    const add = `Add ${/^(list|one of|names)/.test(thing) ? "a row" : thing}`;
    this.#add = button("", () => this.#grow(), { class: "small add", "aria-label": `${add} to ${place.label}` });
    this.#add.append(sign("add"), add);
    this.control = this.grouped(type, this.#list, this.#add, this.#said);
    this.element = this.control;
    this.describe();
  }

  #item(): Row {
    const { root, name, label, depth } = this.place;
    const part = { root, name, label: `${label} ${this.#rows.length + 1}`, required: true, nullable: false, part: true, depth: depth + 1, otherwise: undefined };
    const field = this.make(this.shape.item, part);
    const element = el("li", { class: "row" }, el("div", { class: "cell" }, field.element));
    const row = { field, element };
    element.append(
      el(
        "div",
        { class: "moves" },
        signButton("up", "", () => this.#move(row, -1), { "data-does": "Move up" }),
        signButton("down", "", () => this.#move(row, 1), { "data-does": "Move down" }),
        signButton("remove", "", () => this.#remove(row), { "data-does": "Remove" }),
      ),
    );
    // Several values that are pasted into one row become a row each.
    element.addEventListener("paste", (event) => this.#paste(event, row), { capture: true });
    this.#rows.push(row);
    this.#list.append(element);
    return row;
  }

  #grow(): void {
    const row = this.#item();
    row.field.write(undefined);
    this.#number();
    row.field.focus();
    this.element.dispatchEvent(new Event("input", { bubbles: true }));
  }

  #move(row: Row, way: number): void {
    const from = this.#rows.indexOf(row);
    const to = from + way;
    if (to < 0 || to >= this.#rows.length) return;
    const focused = document.activeElement;
    this.#rows.splice(from, 1);
    this.#rows.splice(to, 0, row);
    this.#list.replaceChildren(...this.#rows.map(({ element }) => element));
    this.#number();
    this.#said.textContent = `Now at ${to + 1} of ${this.#rows.length}.`;
    if (focused instanceof HTMLButtonElement && focused.disabled) row.element.querySelector<HTMLButtonElement>(".moves button:enabled")?.focus();
    else if (focused instanceof HTMLElement) focused.focus();
  }

  #remove(row: Row): void {
    const at = this.#rows.indexOf(row);
    this.#rows.splice(at, 1);
    row.element.remove();
    this.#number();
    this.#said.textContent = `Removed. ${counted(this.#rows.length, "row")} left.`;
    const next = this.#rows[Math.min(at, this.#rows.length - 1)];
    (next?.element.querySelector<HTMLButtonElement>("[data-does=Remove]") ?? this.#add).focus();
    this.element.dispatchEvent(new Event("input", { bubbles: true }));
  }

  #paste(event: ClipboardEvent, row: Row): void {
    const shape = shapeOf(this.shape.item, this.place.root);
    if (shape.kind !== "number" && shape.kind !== "text") return;
    const text = event.clipboardData?.getData("text/plain").trim() ?? "";
    const parts = text.split(shape.kind === "number" ? /[\s,;]+/ : /[\t\r\n]+/).filter((part) => part !== "");
    if (parts.length < 2) return;
    event.preventDefault();
    event.stopPropagation();
    const at = this.#rows.indexOf(row);
    const now = this.#rows.map(({ field }) => field.read([]) ?? "");
    now.splice(at, 1, ...parts.map((part) => (shape.kind === "number" && /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(part) ? new Num(part) : part)));
    this.write(now);
    this.focusRow(at + parts.length - 1);
  }

  focusRow(at: number): void {
    const row = this.#rows[at];
    if (row !== undefined) row.field.focus();
    else this.#text?.focus();
  }

  /** Name the rows, and the buttons in them, by where they stand. */
  #number(): void {
    const { least, most } = this.shape;
    this.#rows.forEach(({ field, element }, index) => {
      const label = `${this.place.label} ${index + 1}`;
      if (field.control instanceof HTMLFieldSetElement) {
        const legend = field.element.querySelector("legend .label");
        if (legend !== null) legend.textContent = label;
      } else field.control.setAttribute("aria-label", label);
      for (const does of element.querySelectorAll<HTMLButtonElement>(":scope > .moves > button")) {
        const what = does.dataset["does"] ?? "";
        does.title = what;
        does.setAttribute("aria-label", `${what}: ${label}`);
        does.disabled = (what === "Move up" && index === 0) || (what === "Move down" && index === this.#rows.length - 1) || (what === "Remove" && this.#rows.length <= least);
      }
    });
    this.#list.hidden = this.#rows.length === 0;
    this.#add.hidden = this.#rows.length >= most;
  }

  override focus(): void {
    if (this.#text !== undefined) this.#text.focus();
    else if (this.#rows.length === 0) this.#add.focus();
    else super.focus();
  }

  override clear(): void {
    super.clear();
    this.#text?.clear();
    for (const { field } of this.#rows) field.clear();
  }

  override read(problems: Problem[]): Json | undefined {
    if (this.#text !== undefined) return this.#text.read(problems);
    const items = this.#rows.map(({ field }) => field.read(problems));
    const { least } = this.shape;
    if (items.length < least) problems.push({ field: this, text: `Give at least ${counted(least, "row")}.` });
    return items.map((item) => item ?? null);
  }

  override write(value: Json | undefined): void {
    const items = Array.isArray(value) ? value : [];
    for (const { element } of this.#rows.splice(0)) element.remove();
    this.#text?.element.remove();
    this.#text = undefined;
    if (items.length > MOST_ROWS) {
      const place = { ...this.place, required: true, nullable: false, part: true, otherwise: undefined };
      this.#text = new JsonField(place, `${items.length} rows, as JSON`, false, "JSON", 8);
      this.#text.write(items);
      this.#list.before(this.#text.element);
      this.#number();
      this.#add.hidden = true;
      return;
    }
    for (const item of items) this.#item().field.write(item);
    while (this.#rows.length < Math.min(this.shape.least, MOST_ROWS)) this.#item().field.write(undefined);
    this.#number();
  }

  override at([index, ...rest]: Path): Field | null {
    return this.#rows[Number(index)]?.field.at(rest) ?? this.#text ?? this;
  }
}

export class TupleField extends Field {
  readonly control: HTMLFieldSetElement;
  readonly element: HTMLElement;
  readonly #items: Field[];

  constructor(place: Place, hint: string, readonly shape: Extract<Shape, { kind: "tuple" }>, type: string, make: Make) {
    super(place, hint);
    const { root, name, label, depth } = place;
    this.#items = shape.items.map((schema, index) => {
      const title = typeof schema["title"] === "string" ? schema["title"] : `${label} ${index + 1}`;
      const otherwise = undefined;
      return make(schema, { root, name: `${name}.${index}`, label: title, required: index < shape.least, nullable: false, part: false, depth: depth + 1, otherwise });
    });
    this.control = this.grouped(type, el("div", { class: "fields" }, ...this.#items.map(({ element }) => element)));
    this.element = this.control;
    this.describe();
  }

  override clear(): void {
    super.clear();
    for (const field of this.#items) field.clear();
  }

  override read(problems: Problem[]): Json | undefined {
    const items = this.#items.map((field) => field.read(problems));
    while (items.length > this.shape.least && items.at(-1) === undefined) items.pop();
    return items.map((item) => item ?? null);
  }

  override write(value: Json | undefined): void {
    const items = Array.isArray(value) ? value : [];
    this.#items.forEach((field, index) => field.write(items[index] ?? field.place.otherwise));
  }

  override at([index, ...rest]: Path): Field | null {
    const item = this.#items[Number(index)];
    return item === undefined ? this : item.at(rest);
  }
}
