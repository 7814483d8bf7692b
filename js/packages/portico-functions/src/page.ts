/** The page: its functions in tabs or in a list, the last calls, and the links to take away. */

import { type About, readAbout } from "./about.ts";
import { copy } from "./clipboard.ts";
import { button, el, newId, sign } from "./dom.ts";
import { History, type Past } from "./history.ts";
import { type House, Panel } from "./panel.ts";
import { sayTheSame } from "./names.ts";
import { summaryOf } from "./request.ts";
import { TabList } from "./tabs.ts";

/** With more functions than that, they are a list with a filter: tabs would not fit on a line. */
const MOST_TABS = 7;

const script = document.currentScript as HTMLScriptElement;
const about = readAbout(document.getElementById("functions")?.textContent ?? "");
const root = new URL(about.base, location.origin + location.pathname).href;

const status = document.getElementById("status") as HTMLElement;
const main = document.querySelector("main") as HTMLElement;
const history_ = new History(location.pathname);
const panels = new Map<string, { place: HTMLElement; panel: Panel | undefined }>();

/** For people who do not see the page: what has happened. */
function say(text: string): void {
  status.textContent = text;
}

async function take(text: string, from: HTMLElement): Promise<void> {
  const done = await copy(text, from);
  say(done ? "Copied." : "Selected: copy it with your keyboard.");
  flash(done ? "Copied" : "Selected: copy it with your keyboard");
}

let flashing = 0;

/** For people who do. */
function flash(text: string): void {
  const shown = document.getElementById("flash") as HTMLElement;
  shown.textContent = text;
  shown.hidden = false;
  clearTimeout(flashing);
  flashing = setTimeout(() => {
    shown.hidden = true;
  }, 1500) as unknown as number;
}

const house: House = {
  about,
  root,
  nonce: script.nonce,
  say,
  copy: (text, from) => void take(text, from),
  ended: (past) => {
    history_.add(past);
    showHistory();
  },
};

for (const { name } of about.functions) panels.set(name, { place: el("div"), panel: undefined });

/** The panel of *name*, made when it is first looked at: a form takes a moment, and there may be hundreds. */
function panelOf(name: string): Panel | undefined {
  const found = panels.get(name);
  const one = about.functions.find((each) => each.name === name);
  if (found === undefined || one === undefined) return undefined;
  if (found.panel === undefined) {
    found.panel = new Panel(one, house);
    found.place.append(found.panel.element);
  }
  return found.panel;
}

const long = about.functions.length > MOST_TABS;
const tabs = new TabList(
  "Functions",
  about.functions.map(({ name, title }) => ({ name: title || name, more: title !== "" && !sayTheSame(title, name) ? name : "", panel: panels.get(name)?.place ?? el("div") })),
  (index) => {
    const one = about.functions[index];
    if (one === undefined) return;
    panelOf(one.name);
    // The address names the function, so that it can be handed on; what a link filled in is not asked for again.
    if (linked(location.hash).name !== one.name) history.replaceState(null, "", `#${encodeURIComponent(one.name)}`);
  },
  long ? "list" : "tabs",
  long,
);

function choose(name: string): Panel | undefined {
  const index = about.functions.findIndex((one) => one.name === name);
  if (index < 0) return undefined;
  if (tabs.at !== index) tabs.choose(index);
  return panelOf(name);
}

// --- links that fill in a form ----------------------------------------------------------------------------------------

function linked(hash: string): { name: string; query: URLSearchParams } {
  const [name = "", ...query] = hash.replace(/^#/, "").split("?");
  try {
    return { name: decodeURIComponent(name), query: new URLSearchParams(query.join("?")) };
  } catch {
    return { name, query: new URLSearchParams() };
  }
}

/** Go where the address says. It fills in, and never runs: whoever made the link is not who runs it. */
function follow(): void {
  const { name, query } = linked(location.hash);
  const panel = choose(name);
  if (panel === undefined || query.size === 0) return;
  panel.form.fill(query);
  say("The form is filled in as the link says. Nothing has run.");
}

// --- the last calls ---------------------------------------------------------------------------------------------------

const past = el("ol", { class: "past" });
const calls = el(
  "details",
  { class: "section", hidden: true },
  el("summary", {}, el("h3", { text: "Last calls" })),
  el(
    "div",
    { class: "inside" },
    past,
    button("Forget them", () => {
      history_.clear();
      showHistory();
      say("The last calls are forgotten.");
      tabs.buttons[tabs.at]?.focus();
    }, { class: "small" }),
  ),
);

function showHistory(): void {
  const several = about.functions.length > 1;
  past.replaceChildren(...history_.all.map((one) => row(one, several)));
  calls.hidden = history_.all.length === 0;
}

function row(one: Past, several: boolean): HTMLElement {
  const known = panels.has(one.function);
  const bring = () => {
    const panel = choose(one.function);
    panel?.show(one);
    return panel;
  };
  const lost = one.files.length < one.fileNames.length;
  const again = button(
    "Run again",
    () => {
      const panel = bring();
      if (panel === undefined || panel.running) return;
      void panel.run();
      panel.element.scrollIntoView({ block: "start" });
    },
    { class: "small", disabled: !known || lost },
  );
  const edit = button(
    "Edit",
    () => {
      const panel = bring();
      panel?.element.scrollIntoView({ block: "start" });
      panel?.element.querySelector<HTMLElement>("input, select, textarea")?.focus();
      say(lost ? "The values are in the form again. Choose the files anew." : "The values are in the form again.");
    },
    { class: "small", disabled: !known },
  );
  const what = summaryOf({ values: one.values, files: one.fileNames, secrets: one.secrets }) || "nothing given";
  const when = new Date(one.at);
  const outcome = { done: "", failed: "failed", cancelled: "cancelled" }[one.outcome];
  const id = newId();
  again.setAttribute("aria-describedby", id);
  edit.setAttribute("aria-describedby", id);
  return el(
    "li",
    {},
    el("span", { class: "given", id }, several ? el("b", { text: one.function }) : null, several ? " " : null, el("bdi", { text: what })),
    el(
      "span",
      { class: `when ${one.outcome}` },
      el("time", { datetime: when.toISOString(), text: when.toLocaleTimeString() }),
      `, ${(one.took / 1000).toFixed(1)} s${outcome === "" ? "" : `, ${outcome}`}`,
    ),
    el("span", { class: "doing" }, edit, again),
  );
}

// --- the page itself --------------------------------------------------------------------------------------------------

/** The list of many functions, with a filter. */
function listed(): HTMLElement {
  const none = el("p", { class: "dim none", text: "No function is called so.", hidden: true });
  const filter = el("input", {
    type: "search",
    placeholder: `Find in ${about.functions.length} functions`,
    "aria-label": "Find a function",
    autocomplete: "off",
    spellcheck: "false",
    on: {
      input: () => {
        const wanted = filter.value.trim().toLowerCase();
        let shown = 0;
        about.functions.forEach((one, index) => {
          const is = `${one.name}\n${one.title}\n${one.description}`.toLowerCase().includes(wanted);
          const pressed = tabs.buttons[index];
          if (pressed !== undefined) pressed.hidden = !is;
          if (is) shown += 1;
        });
        none.hidden = shown > 0;
        say(`${shown} found.`);
      },
      keydown: (event) => {
        const first = tabs.buttons.findIndex((pressed) => !pressed.hidden);
        if (first < 0 || (event.key !== "ArrowDown" && event.key !== "Enter")) return;
        event.preventDefault();
        tabs.choose(first, event.key === "ArrowDown");
      },
    },
  });
  return el("nav", { class: "side", "aria-label": "Functions" }, filter, none, tabs.element);
}

function start(given: About): void {
  showHistory();
  const places = given.functions.map(({ name }) => panels.get(name)?.place as HTMLElement);
  const content = el("div", { class: "content" }, ...places, calls);
  if (long) {
    main.classList.add("wide");
    main.append(listed(), content);
  } else {
    if (given.functions.length > 1) main.append(tabs.element);
    else {
      for (const place of places) {
        place.removeAttribute("role");
        place.removeAttribute("aria-labelledby");
      }
    }
    main.append(content);
  }
  const [first] = given.functions;
  if (first === undefined) content.prepend(el("p", { class: "dim", text: "No function is served here at the moment." }));
  else panelOf(first.name);
  follow();
  addEventListener("hashchange", follow);
  document.addEventListener("keydown", (event) => {
    const panel = panels.get(about.functions[tabs.at]?.name ?? "")?.panel;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.defaultPrevented) {
      event.preventDefault();
      void panel?.run();
    } else if (event.key === "Escape") panel?.cancel();
  });
  // A file that is dropped beside its field would take the place of this page.
  for (const type of ["dragover", "drop"]) document.addEventListener(type, (event) => event.preventDefault());
  for (const shown of document.querySelectorAll<HTMLElement>("[data-url]")) {
    const url = new URL(shown.dataset["url"] ?? "", root).href;
    const code = el("code", { text: url, dir: "ltr" });
    const pressed = button("Copy", () => void take(url, code), { class: "small", "aria-label": `Copy ${shown.dataset["what"] ?? "it"}` });
    pressed.prepend(sign("copy"));
    shown.append(code, pressed);
  }
  document.documentElement.dataset["state"] = "ready";
}

start(about);
