/** Elements, made of data. Text only ever goes in as text: nothing here can make markup of it. */

type Child = Node | string | null | undefined | false;
type Listener<Name extends string> = (event: Name extends keyof HTMLElementEventMap ? HTMLElementEventMap[Name] : Event) => void;

export interface Props {
  class?: string;
  text?: string;
  on?: { [Name in keyof HTMLElementEventMap]?: Listener<Name> };
  /** Attributes; one that is undefined or false is left out. */
  [attribute: string]: unknown;
}

/** An element `<tag>` with *props* and *children*. */
export function el<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  const { class: className, text, on, ...attributes } = props;
  if (className !== undefined) made.className = className;
  if (text !== undefined) made.textContent = text;
  for (const [name, listener] of Object.entries(on ?? {})) made.addEventListener(name, listener as EventListener);
  for (const [name, value] of Object.entries(attributes)) {
    if (/^on/i.test(name) || name === "srcdoc") throw new Error(`${name} is not set from here`);
    if (value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children) if (child !== null && child !== undefined && child !== false) made.append(child);
  return made;
}

let made = 0;

/** An id that no other element of the page has. */
export function newId(): string {
  made += 1;
  return `p${made}`;
}

export function button(label: string, press: () => void, props: Props = {}): HTMLButtonElement {
  return el("button", { type: "button", text: label, ...props, on: { click: () => press() } });
}

/** A small sign, drawn in the colour of the text around it. Its button says in words what it does. */
const SIGNS = {
  up: "M8 13V3M3.5 7.5 8 3l4.5 4.5",
  down: "M8 3v10M3.5 8.5 8 13l4.5-4.5",
  remove: "M4 4l8 8M12 4l-8 8",
  add: "M8 3v10M3 8h10",
  copy: "M5.5 5.5v-3h8v8h-3M2.5 5.5h8v8h-8z",
  download: "M8 2v8M4.5 7 8 10.5 11.5 7M2.5 13.5h11",
  run: "M5 3l8 5-8 5z",
  again: "M13 8a5 5 0 1 1-1.6-3.7M13 2v3h-3",
  upload: "M8 10.500V2.500M4.500 6 8 2.500 11.500 6M2.500 13.500h11",
} as const;

export type Sign = keyof typeof SIGNS;

export function sign(name: Sign): SVGSVGElement {
  const namespace = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(namespace, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", "sign");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(namespace, "path");
  path.setAttribute("d", SIGNS[name]);
  svg.append(path);
  return svg;
}

/** A button that shows a sign; *label* is what it is called. */
export function signButton(name: Sign, label: string, press: () => void, props: Props = {}): HTMLButtonElement {
  const made = button("", press, { class: "icon", "aria-label": label, title: label, ...props });
  made.append(sign(name));
  return made;
}
