/** Fields of one control that people type into: texts, numbers, dates and times, any JSON. */

import { button, el, newId } from "../dom.ts";
import { encode, type Json, Num, parse } from "../json.ts";
import type { Bounds, Shape } from "../shape.ts";
import { Field, MISSING, type Place, type Problem } from "./field.ts";

type Typed = HTMLInputElement | HTMLTextAreaElement;

/** What an empty field means: null where it may be, else that it is left out. Undefined stands for left out. */
function empty(field: Field, problems: Problem[]): Json | undefined {
  const { nullable, required, part, otherwise } = field.place;
  if (nullable) return required || part || (otherwise !== undefined && otherwise !== null) ? null : undefined;
  if (required || part) problems.push({ field, text: MISSING });
  return undefined;
}

export class TextField extends Field {
  control: Typed;
  readonly element: HTMLElement;
  readonly #shape: Extract<Shape, { kind: "text" }>;

  constructor(place: Place, hint: string, shape: Extract<Shape, { kind: "text" }>, type: string) {
    super(place, hint);
    this.#shape = shape;
    this.control = shape.lines ? this.#lines() : this.#line();
    this.element = this.labelled(type, this.control);
  }

  #line(): HTMLInputElement {
    const kinds: Record<string, string> = { password: "password", email: "email", uri: "url" };
    return el("input", {
      type: kinds[this.#shape.format] ?? "text",
      autocomplete: "off",
      spellcheck: "false",
      dir: "auto",
      on: {
        // One line cannot hold what has several: it becomes a field that can.
        paste: (event) => {
          const text = event.clipboardData?.getData("text/plain") ?? "";
          if (this.#shape.format === "password" || !/[\r\n]./.test(text)) return;
          event.preventDefault();
          const { value, selectionStart: from, selectionEnd: to } = this.control;
          this.#grow(value.slice(0, from ?? value.length) + text.replaceAll(/\r\n?/g, "\n") + value.slice(to ?? value.length));
        },
        keydown: (event) => {
          if (event.key !== "Enter" || !event.shiftKey || this.#shape.format === "password") return;
          event.preventDefault();
          this.#grow(`${this.control.value}\n`);
        },
      },
    });
  }

  #lines(): HTMLTextAreaElement {
    return el("textarea", { rows: "4", autocomplete: "off", spellcheck: "false", dir: "auto" });
  }

  #grow(text: string): void {
    const focused = document.activeElement === this.control;
    const lines = this.#lines();
    for (const name of ["id", "name", "aria-label", "aria-required", "aria-describedby"]) {
      const value = this.control.getAttribute(name);
      if (value !== null) lines.setAttribute(name, value);
    }
    lines.value = text;
    this.control.replaceWith(lines);
    this.control = lines;
    if (focused) lines.focus();
  }

  override read(problems: Problem[]): Json | undefined {
    const text = this.control.value;
    const { nullable, required, part } = this.place;
    if (text === "" && (nullable || (required && !part))) return empty(this, problems);
    const { least, most } = this.#shape;
    const long = [...text].length;
    if (least !== undefined && long < least) problems.push({ field: this, text: `Give at least ${counted(least, "character")}.` });
    if (most !== undefined && long > most) problems.push({ field: this, text: `Give at most ${counted(most, "character")}, not ${long}.` });
    return text;
  }

  override write(value: Json | undefined): void {
    const text = value === undefined || value === null ? "" : typeof value === "string" ? value : encode(value);
    if (text.includes("\n") && this.control instanceof HTMLInputElement) this.#grow(text);
    else this.control.value = text;
  }
}

export function counted(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? "" : "s"}`;
}

const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;

export class NumberField extends Field {
  readonly control: HTMLInputElement;
  readonly element: HTMLElement;
  readonly #shape: Extract<Shape, { kind: "number" }>;

  constructor(place: Place, hint: string, shape: Extract<Shape, { kind: "number" }>, type: string) {
    super(place, hint);
    this.#shape = shape;
    this.control = el("input", {
      type: "text",
      inputmode: shape.whole ? "numeric" : "decimal",
      autocomplete: "off",
      spellcheck: "false",
      class: "number",
      on: { keydown: (event) => this.#step(event) },
    });
    const range = inWords(shape.bounds);
    this.element = this.labelled(range === "" ? type : `${type}, ${range}`, this.control);
  }

  /** Arrow keys step, as they do in a browser's own field for numbers. */
  #step(event: KeyboardEvent): void {
    const way = event.key === "ArrowUp" ? 1 : event.key === "ArrowDown" ? -1 : 0;
    if (way === 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    const now = Number(this.control.value.trim() || "0");
    const { bounds, whole } = this.#shape;
    const step = bounds.step !== undefined ? Number(bounds.step) : 1;
    const next = Number((now + way * step).toPrecision(12));
    if (Number.isNaN(next) || (whole && !Number.isSafeInteger(next)) || refusal(next, bounds) !== "") return;
    event.preventDefault();
    this.control.value = String(next);
    this.control.dispatchEvent(new Event("input", { bubbles: true }));
  }

  override read(problems: Problem[]): Json | undefined {
    const text = this.control.value.trim().replace("\u2212", "-");
    if (text === "") return empty(this, problems);
    const { whole, exact, bounds } = this.#shape;
    if (!NUMBER.test(text)) {
      problems.push({ field: this, text: `This is not a number. Write one such as ${whole ? "12" : "12 or 0.5"}.` });
      return undefined;
    }
    const integer = /^[+-]?\d+(?:\.0*)?$/.test(text) ? BigInt(text.replace(/\..*$/, "").replace("+", "")) : undefined;
    if (whole && integer === undefined) {
      problems.push({ field: this, text: "This is not a whole number. Write one such as 12." });
      return undefined;
    }
    const refused = refusal(integer ?? Number(text), bounds);
    if (refused !== "") problems.push({ field: this, text: refused });
    if (exact) return text;
    return new Num(integer !== undefined ? String(integer) : asJson(text));
  }

  override write(value: Json | undefined): void {
    this.control.value = value instanceof Num ? value.source : typeof value === "string" ? value : "";
  }
}

/** A number that JSON can hold as it is written, or the same number so that it can. */
function asJson(text: string): string {
  const number = text.replace("+", "").replace(/^(-?)\./, "$10.").replace(/\.(?=$|[eE])/, "").replace(/^(-?)0+(?=\d)/, "$1");
  return number;
}

function refusal(value: number | bigint, { least, most, above, below, step }: Bounds): string {
  if (least !== undefined && value < least) return `Give ${least} or more.`;
  if (most !== undefined && value > most) return `Give ${most} or less.`;
  if (above !== undefined && value <= above) return `Give more than ${above}.`;
  if (below !== undefined && value >= below) return `Give less than ${below}.`;
  const whole = typeof value === "bigint" && step !== undefined && Number.isInteger(Number(step)) && step > 0;
  return whole && value % BigInt(step) !== 0n ? `Give a multiple of ${step}.` : "";
}

function inWords({ least, most, above, below, step }: Bounds): string {
  const by = step === undefined ? "" : `, in steps of ${step}`;
  if (least !== undefined && most !== undefined) return `${least} to ${most}${by}`;
  const low = least !== undefined ? `at least ${least}` : above !== undefined ? `more than ${above}` : "";
  const high = most !== undefined ? `at most ${most}` : below !== undefined ? `less than ${below}` : "";
  return [low, high].filter((part) => part !== "").join(", ") + by;
}

/** Dates and times, by the browser's own fields. A value that these cannot hold is shown as text. */
export class MomentField extends Field {
  readonly control: HTMLInputElement;
  readonly element: HTMLElement;
  readonly #type: string;
  readonly #zone: HTMLSelectElement | undefined;

  constructor(place: Place, hint: string, shape: Extract<Shape, { kind: "moment" }>, type: string) {
    super(place, hint);
    this.#type = { date: "date", time: "time", datetime: "datetime-local" }[shape.moment];
    this.control = el("input", { type: this.#type, step: shape.moment === "date" ? undefined : "1", autocomplete: "off" });
    if (shape.moment === "datetime") {
      const local = Intl.DateTimeFormat().resolvedOptions().timeZone;
      this.#zone = el(
        "select",
        { id: newId(), "aria-label": `${place.label}: time zone` },
        el("option", { value: "", text: "no time zone" }),
        el("option", { value: "Z", text: "UTC" }),
        el("option", { value: "local", text: `here (${local})` }),
      );
    }
    const controls = this.#zone === undefined ? this.control : el("div", { class: "pair" }, this.control, this.#zone);
    this.element = this.labelled(type, controls);
  }

  override read(problems: Problem[]): Json | undefined {
    if (this.control.validity.badInput) {
      problems.push({ field: this, text: "This is not complete." });
      return undefined;
    }
    const text = this.control.value;
    if (text === "") return empty(this, problems);
    if (this.control.type === "text") return text;
    const zone = this.#zone?.value ?? "";
    return zone === "local" ? text + offset(new Date(text)) : text + zone;
  }

  override write(value: Json | undefined): void {
    const text = typeof value === "string" ? value : "";
    const zone = /(?:Z|[+-]00:?00)$/.test(text) && text.includes("T") ? "Z" : "";
    const bare = zone === "" ? text : text.replace(/(?:Z|[+-]00:?00)$/, "");
    const held = text === "" || HELD[this.#type]?.test(bare) === true;
    this.control.type = held ? this.#type : "text";
    this.control.value = held ? bare : text;
    if (this.#zone === undefined) return;
    this.#zone.value = zone;
    this.#zone.hidden = !held;
  }
}

/** What a browser's own fields hold: no zone, and no more than milliseconds (WHATWG HTML, 2.3.5). */
const HELD: Record<string, RegExp> = {
  date: /^\d{4}-\d\d-\d\d$/,
  time: /^\d\d:\d\d(:\d\d(\.\d{1,3})?)?$/,
  "datetime-local": /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,3})?)?$/,
};

/** How far *date* is from UTC here, as RFC 3339 writes it. */
function offset(date: Date): string {
  const minutes = -date.getTimezoneOffset();
  const two = (value: number) => String(Math.floor(value)).padStart(2, "0");
  return `${minutes < 0 ? "-" : "+"}${two(Math.abs(minutes) / 60)}:${two(Math.abs(minutes) % 60)}`;
}

/**
 * Any JSON. Where any type will do (*lenient*), a text without quotes is taken for a text, as people who type one mean it.
 */
export class JsonField extends Field {
  readonly control: HTMLTextAreaElement;
  readonly element: HTMLElement;
  readonly #meant = el("span", { class: "meant", "aria-live": "polite" });
  readonly #tidier = button("Tidy up", () => this.#tidy(), { class: "small", hidden: true });

  constructor(place: Place, hint: string, readonly lenient: boolean, type: string, rows = 2) {
    super(place, hint);
    this.control = el("textarea", {
      rows: String(rows),
      class: "code",
      autocomplete: "off",
      spellcheck: "false",
      autocapitalize: "off",
      dir: "auto",
      on: { input: () => this.#say() },
    });
    this.element = this.labelled(type, this.control, el("div", { class: "below" }, this.#meant, this.#tidier));
  }

  #say(): void {
    const text = this.control.value.trim();
    this.#tidier.hidden = !/^[[{]/.test(text);
    if (!this.lenient || text === "") this.#meant.textContent = "";
    else {
      const value = this.#value();
      this.#meant.textContent = value === undefined ? "" : `Sent as ${kindOf(value)}.`;
    }
  }

  #value(): Json | undefined {
    const text = this.control.value;
    try {
      return parse(text);
    } catch {
      return this.lenient && !/^\s*[[{"]/.test(text) ? text : undefined;
    }
  }

  #tidy(): void {
    try {
      this.control.value = encode(parse(this.control.value), 2);
    } catch {
      // What is wrong with it is said when it is sent; there is nothing to tidy.
    }
  }

  override read(problems: Problem[]): Json | undefined {
    if (this.control.value.trim() === "") {
      if (this.lenient && this.place.part) return "";
      return empty(this, problems);
    }
    const value = this.#value();
    if (value !== undefined) return value;
    try {
      return parse(this.control.value);
    } catch (error) {
      problems.push({ field: this, text: `This is not JSON. ${(error as Error).message}` });
      return undefined;
    }
  }

  override write(value: Json | undefined): void {
    if (value === undefined || (value === null && (this.place.nullable || this.place.otherwise === null))) this.control.value = "";
    else if (typeof value === "string" && this.lenient && isPlainText(value)) this.control.value = value;
    else this.control.value = encode(value, 2);
    this.#say();
  }
}

/** Whether *text*, without quotes, would be read as that text. */
function isPlainText(text: string): boolean {
  if (/^\s*[[{"]|^\s*$/.test(text)) return false;
  try {
    parse(text);
    return false;
  } catch {
    return true;
  }
}

function kindOf(value: Json): string {
  if (value === null) return "null";
  if (typeof value === "string") return "text";
  if (typeof value === "boolean") return String(value);
  return value instanceof Num ? "a number" : Array.isArray(value) ? "a list" : "an object";
}
