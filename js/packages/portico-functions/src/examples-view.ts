/** A call as a program, to be taken away: one language at a time, following what is entered. */

import { button, el, sign } from "./dom.ts";
import { type Example, exampleOf, type Language, LANGUAGES } from "./examples.ts";
import { TabList } from "./tabs.ts";

export class ExamplesView {
  readonly element: HTMLElement;
  readonly #codes: Map<Language, HTMLElement>;
  #language: Language = "curl";

  constructor(
    readonly current: () => Example,
    copy: (text: string, from: HTMLElement) => void,
    note: string,
  ) {
    this.#codes = new Map(LANGUAGES.map((language) => [language, el("pre", { class: "program", tabindex: "0", dir: "ltr" })]));
    const tabs = new TabList(
      "Language",
      [...this.#codes].map(([name, panel]) => ({ name, panel })),
      (index) => {
        this.#language = LANGUAGES[index] ?? "curl";
        this.#show();
      },
      "views-tabs",
    );
    const take = button(
      "Copy",
      () => {
        this.#show();
        const code = this.#codes.get(this.#language);
        if (code !== undefined) copy(code.textContent ?? "", code);
      },
      { class: "small", "aria-label": "Copy the program" },
    );
    take.prepend(sign("copy"));
    const content = el(
      "div",
      { class: "inside" },
      el("div", { class: "bar" }, tabs.element, el("span", { class: "space" }), take),
      ...this.#codes.values(),
      note === "" ? null : el("p", { class: "note", text: note }),
    );
    const details = el("details", { class: "section" }, el("summary", {}, el("h3", { text: "Use it in a program" })), content);
    details.addEventListener("toggle", () => this.update());
    this.element = details;
  }

  /** What is entered has changed. */
  update(): void {
    if (this.element instanceof HTMLDetailsElement && this.element.open) this.#show();
  }

  #show(): void {
    const code = this.#codes.get(this.#language);
    if (code !== undefined) code.textContent = exampleOf(this.#language, this.current());
  }
}
