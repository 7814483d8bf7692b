/**
 * What every field of a form is: a part of the page that reads one value, shows one, and says what is wrong with it.
 *
 * Not here: which field a schema gets (`make.ts`).
 */

import { el, newId } from "../dom.ts";
import type { Json } from "../json.ts";
import type { Schema } from "../shape.ts";

/** What a field is told of its place. */
export interface Place {
  /** The document that references are looked up in. */
  root: Schema;
  /** The name by which programs give it; of an item, its list's. */
  name: string;
  /** What people are shown in its place. */
  label: string;
  /** Whether it must be given: it has no default. */
  required: boolean;
  /** Whether null is a value of it, which is what an empty field means. */
  nullable: boolean;
  /** Whether it is a part of a list: it has no label of its own to be seen, and may be an empty text. */
  part: boolean;
  /** How far down it is. */
  depth: number;
  /** Its default; undefined where it has none that JSON can say. */
  otherwise: Json | undefined;
}

export interface Problem {
  field: Field;
  text: string;
}

export type Path = readonly (string | number)[];

export abstract class Field {
  readonly id = newId();
  readonly #hint: HTMLElement;
  readonly #error = el("p", { class: "error", id: `${this.id}-error`, hidden: true });
  /** What has the focus, and is described by the hint and the error. */
  abstract readonly control: HTMLElement;
  abstract readonly element: HTMLElement;

  constructor(
    readonly place: Place,
    hint: string,
  ) {
    this.#hint = el("p", { class: "hint", id: `${this.id}-hint`, text: hint, dir: "auto", hidden: hint === "" });
  }

  /** The value as it stands; undefined if it is left out. What is wrong goes into *problems*. */
  abstract read(problems: Problem[]): Json | undefined;

  /** Show *value*; undefined is for what it shows when nothing is given. */
  abstract write(value: Json | undefined): void;

  /** The field that *path* leads to, from this one; null if what it leads to is not shown. */
  at(_path: Path): Field | null {
    return this;
  }

  /** Say below the field what is wrong with it. */
  complain(text: string): void {
    const before = this.#error.textContent ?? "";
    if (!this.#error.hidden && before.split("\n").includes(text)) return;
    this.#error.textContent = this.#error.hidden ? text : `${before}\n${text}`;
    this.#error.hidden = false;
    this.control.setAttribute("aria-invalid", "true");
    this.element.classList.add("bad");
    this.describe();
  }

  /** Take back what was said here and below. */
  clear(): void {
    this.#error.hidden = true;
    this.#error.textContent = "";
    this.control.removeAttribute("aria-invalid");
    this.element.classList.remove("bad");
    this.describe();
  }

  focus(): void {
    this.control.focus();
    this.element.scrollIntoView({ block: "nearest" });
  }

  /** Say *hint* below the field from now on. */
  protected hint(hint: string): void {
    this.#hint.textContent = hint;
    this.#hint.hidden = hint === "";
    this.describe();
  }

  protected describe(): void {
    const ids = [this.#hint, this.#error].filter((part) => !part.hidden).map((part) => part.id);
    if (ids.length > 0) this.control.setAttribute("aria-describedby", ids.join(" "));
    else this.control.removeAttribute("aria-describedby");
  }

  /** The field around its control, which a label names. */
  protected labelled(type: string, ...content: HTMLElement[]): HTMLElement {
    const { label, part, required, nullable } = this.place;
    this.control.id = this.id;
    this.control.setAttribute("name", this.place.name);
    if (required && !nullable && !part) this.control.setAttribute("aria-required", "true");
    if (part) this.control.setAttribute("aria-label", label);
    const head = part ? null : el("div", { class: "head" }, el("label", { for: this.id, text: label, dir: "auto" }), ...this.marks(type));
    const made = el("div", { class: part ? "field part" : "field" }, head, ...content, this.#hint, this.#error);
    made.dataset["name"] = this.place.name;
    this.describe();
    return made;
  }

  /** The field around several controls: a group with a legend. */
  protected grouped(type: string, ...content: HTMLElement[]): HTMLFieldSetElement {
    const { label, part } = this.place;
    const legend = el("legend", { class: part ? "away" : "" }, el("span", { class: "label", text: label, dir: "auto" }), ...(part ? [] : this.marks(type)));
    const made = el("fieldset", { class: "field group", tabindex: "-1", id: this.id }, legend, this.#hint, this.#error, ...content);
    made.dataset["name"] = this.place.name;
    return made;
  }

  private marks(type: string): HTMLElement[] {
    const { required, nullable } = this.place;
    const need = required && !nullable ? el("span", { class: "need", text: "required" }) : null;
    return [el("span", { class: "type", text: type }), ...(need === null ? [] : [need])];
  }
}

/** What is said of a required field that is empty. */
export const MISSING = "This is needed.";
