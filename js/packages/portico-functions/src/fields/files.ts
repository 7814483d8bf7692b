/** Fields for files: those that go along as they are, and those that go into the JSON in base64. */

import { el, sign, signButton } from "../dom.ts";
import type { Json } from "../json.ts";
import { Field, MISSING, type Place, type Problem } from "./field.ts";

/** Bytes of a file within JSON: it takes a third more there, and is kept as text in this page. Servers take 32 MiB. */
const MOST_ENCODED = 16 * 1024 * 1024;

/** Pictures beyond that are not shown before they are sent: to decode one may take longer than to send it. */
const MOST_SHOWN = 20 * 1024 * 1024;

/** A size as people read it. */
export function sizeOf(bytes: number): string {
  if (bytes < 1024) return `${bytes} ${bytes === 1 ? "byte" : "bytes"}`;
  const units = ["KiB", "MiB", "GiB"];
  let value = bytes / 1024;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** Where files are dropped, chosen or pasted; each is listed by name and size, and can be taken out again. */
export class FilesField extends Field {
  readonly control: HTMLInputElement;
  readonly element: HTMLElement;
  readonly #list = el("ul", { class: "files", hidden: true });
  readonly #said = el("span", { class: "away", role: "status" });
  #files: File[] = [];

  constructor(place: Place, hint: string, readonly many: boolean, accept: string, type: string) {
    super(place, hint);
    this.control = el("input", {
      type: "file",
      class: "away",
      multiple: many,
      accept: accept === "" ? undefined : accept,
      on: {
        change: () => {
          this.#take([...(this.control.files ?? [])]);
          this.control.value = ""; // so that the same file can be chosen again
        },
      },
    });
    const id = this.id;
    const drop = el(
      "label",
      { class: "drop", for: id },
      sign("upload"),
      el("span", {}, el("b", { text: many ? "Choose files" : "Choose a file" }), ` or drop ${many ? "them" : "it"} here`),
    );
    const zone = el("div", { class: "zone" }, this.control, drop);
    zone.addEventListener("dragover", (event) => {
      event.preventDefault();
      zone.classList.add("over");
    });
    zone.addEventListener("dragleave", () => zone.classList.remove("over"));
    zone.addEventListener("drop", (event) => {
      event.preventDefault();
      zone.classList.remove("over");
      this.#take([...(event.dataTransfer?.files ?? [])]);
    });
    zone.addEventListener("paste", (event) => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (files.length === 0) return;
      event.preventDefault();
      this.#take(files);
    });
    this.element = this.labelled(type, zone, this.#list, this.#said);
    this.element.classList.add("wide");
  }

  get files(): readonly File[] {
    return this.#files;
  }

  #take(files: File[]): void {
    if (files.length === 0) return;
    this.#files = this.many ? [...this.#files, ...files] : files.slice(0, 1);
    this.#changed(`${files.map(({ name }) => name).join(", ")}: chosen.`);
  }

  #changed(said: string): void {
    for (const picture of this.#list.querySelectorAll("img")) URL.revokeObjectURL(picture.src);
    this.#list.replaceChildren(...this.#files.map((file) => this.#row(file)));
    this.#list.hidden = this.#files.length === 0;
    this.#said.textContent = said;
    this.clear();
    this.chosen(this.#files);
    this.element.dispatchEvent(new Event("input", { bubbles: true }));
  }

  #row(file: File): HTMLElement {
    const shown = /^image\/(png|jpeg|gif|webp|svg\+xml|avif|bmp)$/.test(file.type) && file.size <= MOST_SHOWN;
    const picture = shown ? el("img", { src: URL.createObjectURL(file), alt: "" }) : null;
    const take = () => {
      this.#files = this.#files.filter((one) => one !== file);
      this.#changed(`${file.name}: taken out.`);
      this.control.focus();
    };
    return el(
      "li",
      {},
      picture,
      el("bdi", { class: "file", text: file.name }),
      el("span", { class: "size", text: sizeOf(file.size) }),
      signButton("remove", `Take out ${file.name}`, take),
    );
  }

  /** Called with what is chosen now. */
  protected chosen(_files: readonly File[]): void {
    // What goes along as it is needs nothing.
  }

  override read(problems: Problem[]): Json | undefined {
    if (this.#files.length === 0 && this.place.required && !this.place.nullable) problems.push({ field: this, text: MISSING });
    return undefined;
  }

  override write(_value: Json | undefined): void {
    if (this.#files.length === 0) return;
    this.#files = [];
    this.#changed("");
  }

  /** As if *files* had been chosen. */
  give(files: readonly File[]): void {
    this.#files = this.many ? [...files] : files.slice(0, 1);
    this.#changed("");
  }
}

/** A file within a value: its bytes, in base64. */
export class EncodedFileField extends FilesField {
  #text = "";
  #problem = "";

  constructor(
    place: Place,
    readonly said: string,
    accept: string,
    type: string,
  ) {
    super(place, said, false, accept, type);
  }

  protected override chosen(files: readonly File[]): void {
    const [file] = files;
    this.#text = "";
    this.#problem = "";
    if (file === undefined) return;
    if (file.size > MOST_ENCODED) {
      this.#problem = `This file is too large to go into JSON: at most ${sizeOf(MOST_ENCODED)}.`;
      return;
    }
    this.#problem = "The file is still being read. Try again.";
    const reader = new FileReader();
    reader.addEventListener("load", () => {
      if (this.files[0] !== file) return;
      this.#text = String(reader.result).replace(/^[^,]*,/, "");
      this.#problem = "";
    });
    reader.addEventListener("error", () => {
      this.#problem = "This file cannot be read. Choose it again.";
    });
    reader.readAsDataURL(file);
  }

  override read(problems: Problem[]): Json | undefined {
    if (this.#problem !== "") problems.push({ field: this, text: this.#problem });
    if (this.files.length > 0) return this.#text;
    if (this.#text !== "") return this.#text;
    const { nullable, required, part } = this.place;
    if (nullable) return required ? null : undefined;
    if (required || part) problems.push({ field: this, text: MISSING });
    return undefined;
  }

  override write(value: Json | undefined): void {
    super.write(undefined);
    this.#text = typeof value === "string" ? value : "";
    this.hint(this.#text === "" ? this.said : `${sizeOf(Math.floor((this.#text.length * 3) / 4))}, as given before`);
  }
}

