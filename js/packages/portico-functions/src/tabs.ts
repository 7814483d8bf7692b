/** Tabs, by the keyboard as WAI-ARIA has them: arrows, Home and End; one of them is in the order of Tab. */

import { el, newId } from "./dom.ts";

export interface Tab {
  name: string;
  /** What is said besides the name, in smaller letters. */
  more?: string;
  panel: HTMLElement;
}

export class TabList {
  readonly element: HTMLElement;
  readonly buttons: HTMLButtonElement[];
  #at = 0;

  constructor(
    label: string,
    readonly tabs: readonly Tab[],
    readonly chosen: (index: number) => void,
    className = "tabs",
    readonly upright = false,
  ) {
    this.buttons = tabs.map(({ name, more, panel }, index) => {
      panel.id ||= newId();
      const id = newId();
      panel.setAttribute("role", "tabpanel");
      panel.setAttribute("aria-labelledby", id);
      panel.hidden = index > 0;
      const text = more === undefined || more === "" ? null : el("span", { class: "more", text: more, dir: "auto" });
      return el("button", { type: "button", role: "tab", id, "aria-controls": panel.id, on: { click: () => this.choose(index) } }, el("span", { class: "name", text: name, dir: "auto" }), text);
    });
    const listed = { class: className, role: "tablist", "aria-label": label, "aria-orientation": upright ? "vertical" : undefined };
    this.element = el("div", { ...listed, on: { keydown: (event) => this.#key(event) } }, ...this.buttons);
    this.#mark();
  }

  /** Show the panel at *index*. */
  choose(index: number, focus = false): void {
    const before = this.tabs[this.#at];
    const tab = this.tabs[index];
    if (tab === undefined || before === undefined) return;
    before.panel.hidden = true;
    tab.panel.hidden = false;
    this.#at = index;
    this.#mark();
    this.chosen(index);
    const pressed = this.buttons[index];
    if (focus) pressed?.focus();
    pressed?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  get at(): number {
    return this.#at;
  }

  #mark(): void {
    this.buttons.forEach((pressed, index) => {
      pressed.setAttribute("aria-selected", String(index === this.#at));
      pressed.tabIndex = index === this.#at ? 0 : -1;
    });
  }

  #key(event: KeyboardEvent): void {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const there = this.buttons.flatMap((pressed, index) => (pressed.hidden ? [] : [index]));
    const now = there.indexOf(this.#at);
    const right = getComputedStyle(this.element).direction === "rtl" ? -1 : 1;
    const ways: Record<string, number> = this.upright
      ? { ArrowDown: now + 1, ArrowUp: now - 1 }
      : { ArrowRight: now + right, ArrowLeft: now - right };
    const wanted = { ...ways, Home: 0, End: there.length - 1 }[event.key];
    if (wanted === undefined || there.length === 0) return;
    event.preventDefault();
    this.choose(there[(wanted + there.length) % there.length] ?? 0, true);
  }
}
