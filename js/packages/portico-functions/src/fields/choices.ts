/** Fields that are chosen in: one of several values, some of several, yes or no. */

import { el, newId } from "../dom.ts";
import { encode, type Json, same } from "../json.ts";
import { labelOf } from "../shape.ts";
import { Field, type Place, type Problem } from "./field.ts";

/** A label for each: texts have quotes where they would look like another. */
function labelsOf(options: readonly Json[]): string[] {
  const plain = options.map(labelOf);
  return plain.map((label, index) => (plain.indexOf(label) !== plain.lastIndexOf(label) ? encode(options[index] ?? null) : label));
}

/** One of *options*. With a label for each, where the values do not speak for themselves. */
export class ChoiceField extends Field {
  readonly control: HTMLSelectElement;
  readonly element: HTMLElement;
  readonly #options: readonly Json[];
  readonly #none: HTMLOptionElement | undefined;

  constructor(place: Place, hint: string, options: readonly Json[], type: string, labels: readonly string[] = labelsOf(options)) {
    super(place, hint);
    this.#options = options;
    const mayBeLeft = place.nullable || place.otherwise === undefined;
    const none = place.nullable ? "none" : place.required ? "Choose…" : "the default";
    this.#none = mayBeLeft ? el("option", { value: "", text: `${none}` }) : undefined;
    this.control = el("select", { autocomplete: "off" });
    if (this.#none !== undefined) this.control.append(this.#none);
    options.forEach((_, index) => this.control.append(el("option", { value: String(index), text: labels[index] ?? "" })));
    this.element = this.labelled(type, this.control);
  }

  override read(problems: Problem[]): Json | undefined {
    if (this.control.value !== "") return this.#options[Number(this.control.value)];
    if (this.place.nullable) return this.place.otherwise === null ? undefined : null;
    if (this.place.required || this.place.part) problems.push({ field: this, text: "Choose one." });
    return undefined;
  }

  override write(value: Json | undefined): void {
    const index = value === undefined ? -1 : this.#options.findIndex((option) => same(option, value));
    this.control.value = index >= 0 ? String(index) : "";
    if (index < 0 && this.#none === undefined) this.control.selectedIndex = 0;
  }
}

export class BooleanField extends Field {
  readonly control: HTMLInputElement;
  readonly element: HTMLElement;

  constructor(place: Place, hint: string) {
    super(place, hint);
    this.control = el("input", { type: "checkbox", autocomplete: "off" });
    this.element = this.labelled("yes or no");
    this.element.classList.add("ticked");
    (this.element.querySelector(".head") ?? this.element).prepend(this.control); // a box stands before its label
  }

  override read(): Json {
    return this.control.checked;
  }

  override write(value: Json | undefined): void {
    this.control.checked = value === true;
  }
}

/** Some of *options*: a set. */
export class ChoicesField extends Field {
  readonly control: HTMLFieldSetElement;
  readonly element: HTMLElement;
  readonly #boxes: { option: Json; box: HTMLInputElement }[];

  constructor(place: Place, hint: string, options: readonly Json[]) {
    super(place, hint);
    this.#boxes = options.map((option) => ({ option, box: el("input", { type: "checkbox", id: newId(), autocomplete: "off" }) }));
    const labels = this.#boxes.map(({ option, box }) => el("label", { class: "box", for: box.id }, box, el("span", { text: labelOf(option), dir: "auto" })));
    this.control = this.grouped("choices", el("div", { class: "boxes" }, ...labels));
    this.element = this.control;
    this.describe();
  }

  override focus(): void {
    this.#boxes[0]?.box.focus();
  }

  override read(): Json {
    return this.#boxes.filter(({ box }) => box.checked).map(({ option }) => option);
  }

  override write(value: Json | undefined): void {
    const chosen = Array.isArray(value) ? value : [];
    for (const { option, box } of this.#boxes) box.checked = chosen.some((one) => same(one, option));
  }
}

/** One value and no other: it is not shown, and always given. */
export class FixedField extends Field {
  readonly control = el("span", { hidden: true });
  readonly element = this.control;

  constructor(place: Place, readonly value: Json) {
    super(place, "");
  }

  override read(): Json {
    return this.value;
  }

  override write(): void {
    // There is nothing else that it could be.
  }
}

