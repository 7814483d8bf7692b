/** Fields for tables and arrays: pasted or typed as text, or chosen as a file. */

import { el, newId } from "../dom.ts";
import { encode, type Json, Num, parse } from "../json.ts";
import { rowsOf } from "../separated.ts";
import { Field, MISSING, type Place, type Problem } from "./field.ts";
import { FilesField } from "./files.ts";

/** Of a pasted table, so many rows and columns are shown at once: enough to see whether it was understood. */
const SHOWN_ROWS = 5;
const SHOWN_COLUMNS = 12;

export class TableField extends Field {
  readonly control: HTMLTextAreaElement;
  readonly element: HTMLElement;
  readonly #file: FilesField;
  readonly #preview = el("div", { class: "preview", hidden: true });

  constructor(place: Place, hint: string, readonly table: boolean, accept: string, type: string) {
    super(place, hint);
    this.control = el("textarea", {
      rows: "3",
      class: "code",
      placeholder: table ? "Paste CSV, cells of a spreadsheet, or JSON" : "[[1, 2], [3, 4]], or lines of numbers",
      autocomplete: "off",
      spellcheck: "false",
      on: { input: () => this.#show() },
    });
    const part = { ...place, label: `${place.label}: file`, required: false, nullable: true, part: true, otherwise: undefined };
    this.#file = new FilesField(part, "", false, accept, "file");
    this.#file.element.addEventListener("input", () => this.#show());
    this.element = this.labelled(type, this.control, this.#preview, this.#file.element);
    this.element.classList.add("wide");
  }

  get files(): readonly File[] {
    if (this.#file.files.length > 0) return this.#file.files;
    const text = this.control.value;
    if (!this.table || text.trim() === "" || looksLikeJson(text)) return [];
    const tabs = text.split("\n", 1)[0]?.includes("\t") ?? false;
    return [tabs ? new File([text], "pasted.tsv", { type: "text/tab-separated-values" }) : new File([text], "pasted.csv", { type: "text/csv" })];
  }

  /** As if the first of *files* had been chosen; what was pasted comes back as text. */
  give([file]: readonly File[]): void {
    if (file === undefined) return;
    if (!file.name.startsWith("pasted.")) {
      this.#file.give([file]);
      return;
    }
    void file.text().then((text) => {
      this.control.value = text;
      this.#show();
    });
  }

  #show(): void {
    const given = this.#file.files.length > 0;
    this.control.hidden = given;
    const rows = given || !this.table || looksLikeJson(this.control.value) ? [] : rowsOf(this.control.value, SHOWN_ROWS + 1);
    this.#preview.hidden = rows.length < 2;
    this.#preview.replaceChildren(...(rows.length < 2 ? [] : [previewOf(rows)]));
  }

  override read(problems: Problem[]): Json | undefined {
    if (this.files.length > 0) return undefined;
    const text = this.control.value.trim();
    if (text === "") {
      if (this.place.required && !this.place.nullable) problems.push({ field: this, text: MISSING });
      return this.place.required && this.place.nullable ? null : undefined;
    }
    if (!looksLikeJson(text) && !this.table) {
      const rows = text.split(/[\r\n]+/).map((line) => line.split(/[\s,;]+/).filter((cell) => cell !== ""));
      if (rows.every((row) => row.every((cell) => /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(cell)))) {
        const numbers = rows.map((row) => row.map((cell) => new Num(cell)));
        return numbers.length === 1 ? (numbers[0] as Json) : numbers;
      }
    }
    try {
      return parse(text);
    } catch (error) {
      problems.push({ field: this, text: `This is not JSON. ${(error as Error).message}` });
      return undefined;
    }
  }

  override write(value: Json | undefined): void {
    this.#file.write(undefined);
    this.control.value = value === undefined || value === null ? "" : typeof value === "string" ? value : encode(value, 2);
    this.#show();
  }
}

function looksLikeJson(text: string): boolean {
  return /^\s*[[{]/.test(text);
}

function previewOf(rows: string[][]): HTMLElement {
  const [head = [], ...body] = rows.map((row) => row.slice(0, SHOWN_COLUMNS));
  const id = newId();
  return el(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-labelledby": id },
    el(
      "table",
      {},
      el("caption", { id, text: "How it begins" }),
      el("thead", {}, el("tr", {}, ...head.map((cell) => el("th", { scope: "col", text: cell, dir: "auto" })))),
      el("tbody", {}, ...body.map((row) => el("tr", {}, ...row.map((cell) => el("td", { text: cell, dir: "auto" }))))),
    ),
  );
}
