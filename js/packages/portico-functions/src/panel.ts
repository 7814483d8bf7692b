/** All of one function: what it says of itself, its form, Run and Cancel, how far it is, and what it gave. */

import type { About, FunctionAbout } from "./about.ts";
import { call, Refused, type Result } from "./answer.ts";
import { button, el, newId, sign } from "./dom.ts";
import { ExamplesView } from "./examples-view.ts";
import type { Problem } from "./fields/field.ts";
import { counted } from "./fields/texts.ts";
import { Form } from "./form.ts";
import type { Past } from "./history.ts";
import { sayTheSame } from "./names.ts";
import { bodyOf, type Call, pathOf, secretsOf } from "./request.ts";
import { download, MOST_SHOWN, resultView } from "./result.ts";

export interface House {
  about: About;
  /** The service's URL; ends with a slash. */
  root: string;
  nonce: string;
  say: (text: string) => void;
  copy: (text: string, from: HTMLElement) => void;
  ended: (past: Past) => void;
}

/** Milliseconds between two looks at the clock, for who waits. */
const TICK = 100;

/** Characters of a result in pieces that are kept to be downloaded. It may have no end, and is memory of this tab. */
const MOST_KEPT = 50_000_000;

export class Panel {
  readonly element: HTMLElement;
  readonly form: Form;
  readonly #form: HTMLFormElement;
  readonly #run: HTMLButtonElement;
  readonly #cancel: HTMLButtonElement;
  readonly #progress = el("progress", { class: "progress", "aria-label": "How far it is", hidden: true });
  readonly #message = el("span", { class: "message", dir: "auto" });
  readonly #time = el("span", { class: "time" });
  readonly #output = el("section", { class: "output", hidden: true });
  readonly #examples: ExamplesView;
  #running: AbortController | undefined;

  constructor(
    readonly one: FunctionAbout,
    readonly house: House,
  ) {
    this.form = new Form(one);
    this.#run = el("button", { type: "submit", class: "main", title: "Ctrl+Enter", "aria-keyshortcuts": "Control+Enter" }, sign("run"), "Run");
    this.#cancel = button("Cancel", () => this.cancel(), { hidden: true });
    const reset = button("Reset", () => this.#reset(), { class: "quiet" });
    const actions = el("div", { class: "actions" }, this.#run, this.#cancel, reset, el("span", { class: "state" }, this.#time, this.#message));
    this.#form = el(
      "form",
      {
        novalidate: true,
        autocomplete: "off",
        on: {
          submit: (event) => {
            event.preventDefault();
            void this.run();
          },
          input: () => this.#changed(),
          change: () => this.#changed(),
          click: () => this.#changed(),
        },
      },
      this.form.element,
      actions,
      this.#progress,
    );
    const heading = el("h2", { id: newId(), text: one.title || one.name, dir: "auto" });
    this.#form.setAttribute("aria-labelledby", heading.id);
    const code = one.title !== "" && !sayTheSame(one.title, one.name) ? el("code", { class: "called", text: one.name }) : null;
    const { keyed } = house.about;
    this.#examples = new ExamplesView(
      () => ({ one, url: house.root + pathOf(one, house.about.functions), call: this.form.read([]), keyed }),
      house.copy,
      keyed ? "PORTICO_KEY is a key of this service: service.key(), where it is served, makes one." : "",
    );
    const said = one.description.trim();
    this.element = el(
      "div",
      { class: "panel" },
      el(
        "section",
        { class: "card" },
        el("div", { class: "title" }, heading, code),
        said === "" ? null : el("div", { class: "description", dir: "auto" }, ...said.split(/\n{2,}/).map((text) => el("p", { text }))),
        this.#form,
      ),
      this.#output,
      this.#examples.element,
    );
  }

  get running(): boolean {
    return this.#running !== undefined;
  }

  /** Show *past* in the form again. */
  show({ values, files }: Pick<Past, "values" | "files">): void {
    this.form.write(values);
    this.form.give(files);
    this.#changed();
  }

  #reset(): void {
    this.form.write(new Map());
    this.#changed();
    this.house.say("The form is as it was at first.");
  }

  #waiting = 0;

  /** The example follows what is entered, after a moment: it is made of the whole form. */
  #changed(): void {
    clearTimeout(this.#waiting);
    this.#waiting = setTimeout(() => this.#examples.update(), 150) as unknown as number;
  }

  cancel(): void {
    this.#running?.abort();
  }

  async run(): Promise<void> {
    if (this.#running !== undefined) return;
    this.form.clear();
    const problems: Problem[] = [];
    const given = this.form.read(problems);
    if (problems.length > 0) {
      this.form.complain(problems);
      this.#output.hidden = true; // it is of other values
      this.house.say(`${counted(problems.length, "field")} ${problems.length === 1 ? "needs" : "need"} another value.`);
      return;
    }
    const running = new AbortController();
    this.#running = running;
    const begun = performance.now();
    const clock = setInterval(() => this.#tell(performance.now() - begun), TICK);
    this.#busy(true);
    this.house.say(`${this.one.title || this.one.name} runs.`);
    let outcome: Past["outcome"] = "failed";
    try {
      await this.#call(given, running.signal);
      outcome = "done";
    } catch (error) {
      if (running.signal.aborted) {
        outcome = "cancelled";
        this.#note("Cancelled.");
      } else if (error instanceof Refused) this.#refuse(error);
      else {
        console.error(error);
        this.#refuse(new Refused(0, "This page has failed.", "Load it again."));
      }
    } finally {
      clearInterval(clock);
      this.#running = undefined;
      this.#busy(false);
      const took = performance.now() - begun;
      this.#tell(took);
      const { values, files } = given;
      const fileNames = files.map(({ file }) => file.name);
      this.house.ended({ function: this.one.name, values, files, fileNames, secrets: secretsOf(this.one), at: Date.now(), took, outcome });
    }
  }

  async #call(given: Call, signal: AbortSignal): Promise<void> {
    const { one, house } = this;
    const stream = new Stream();
    const wanted = { url: house.root + pathOf(one, house.about.functions), body: bodyOf(given, one), events: one.streams || one.progress, signal };
    let result: Result;
    try {
      result = await call(wanted, {
        piece: (text) => {
          if (stream.add(text)) this.#show("Result", stream.element);
        },
        progress: (done, total, message) => this.#advance(done, total, message),
      });
    } finally {
      stream.end();
    }
    const around = { nonce: house.nonce, name: one.name, say: house.say, copy: house.copy };
    const returned = result.value !== undefined && result.value !== null;
    if (!stream.some) this.#show("Result", resultView(result, around));
    else if (returned || result.display !== undefined) this.#show("Result", stream.whole(house, one.name), el("h4", { text: "Returned in the end" }), resultView(result, around));
    else this.#show("Result", stream.whole(house, one.name));
    house.say("The result is there.");
  }

  #show(title: string, ...content: HTMLElement[]): void {
    const [first] = content;
    if (first !== undefined && this.#output.contains(first) && content.length === 1) return;
    this.#output.className = "card output";
    this.#output.hidden = false;
    this.#output.setAttribute("aria-label", title);
    this.#output.replaceChildren(el("h3", { text: title }), ...content);
  }

  #note(text: string): void {
    // What came before it was cancelled stays.
    const kept = this.#output.querySelector(".stream") !== null && !this.#output.classList.contains("old");
    const note = el("p", { class: "note", text });
    if (kept) this.#output.append(note);
    else this.#show("Result", note);
    this.house.say(text);
  }

  #refuse({ status, message, advice, details }: Refused): void {
    const said = details.length > 0 ? this.form.refuse(details) : 0;
    if (said > 0) {
      this.#output.hidden = this.#output.classList.contains("old");
      this.house.say(`${counted(said, "field")} ${said === 1 ? "needs" : "need"} another value.`);
      return;
    }
    const text = el("p", { class: "failed", text: message, dir: "auto", tabindex: "-1" });
    const parts = [text, ...(advice === "" ? [] : [el("p", { class: "advice", text: advice })])];
    const kept = this.#output.querySelector(".stream");
    if (kept !== null && !this.#output.classList.contains("old")) this.#output.append(...parts);
    else this.#show(status === 500 ? "It failed" : "No result", ...parts);
    this.#output.classList.add("wrong");
    this.house.say(`${message} ${advice}`.trim());
    this.#output.scrollIntoView({ block: "nearest" });
  }

  #advance(done: number, total: number | undefined, message: string): void {
    this.#progress.hidden = false;
    const most = total ?? 1;
    if (most > 0 && (total !== undefined || done <= 1)) {
      this.#progress.max = most;
      this.#progress.value = Math.min(Math.max(done, 0), most);
    } else this.#progress.removeAttribute("value");
    const far = total !== undefined && total > 1 ? `${number(done)} of ${number(total)}` : done <= 1 ? `${Math.round(done * 100)} %` : number(done);
    this.#message.textContent = message === "" ? far : `${far}, ${message}`;
  }

  #tell(took: number): void {
    this.#time.textContent = `${(took / 1000).toFixed(took < 9_950 ? 1 : 0)} s`;
  }

  #busy(is: boolean): void {
    this.element.setAttribute("aria-busy", String(is));
    this.#cancel.hidden = !is;
    const focused = document.activeElement;
    this.#run.disabled = is;
    if (is) {
      this.#output.classList.add("old");
      this.#message.textContent = "";
      this.#progress.hidden = false;
      this.#progress.removeAttribute("value");
      if (focused === this.#run) this.#cancel.focus();
    } else {
      this.#progress.hidden = true;
      this.#message.textContent = "";
      this.#output.classList.remove("old");
      if (focused === this.#cancel || focused === document.body) this.#run.focus();
    }
  }
}

function number(value: number): string {
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(3)));
}

/** A result that comes in pieces. */
class Stream {
  readonly #text = el("pre", { class: "pieces", dir: "auto", tabindex: "0" });
  readonly #more = el("p", { class: "note", hidden: true, text: "More comes than can be shown. It can be downloaded." });
  readonly element = el("div", { class: "stream", "aria-busy": "true" }, this.#text, this.#more);
  readonly #pieces: string[] = [];
  #length = 0;
  some = false;

  /** Take a piece. Whether it is the first. */
  add(text: string): boolean {
    const first = !this.some;
    this.some = true;
    const left = MOST_SHOWN - this.#length;
    if (left > 0) {
      const low = this.#text.scrollHeight - this.#text.scrollTop - this.#text.clientHeight < 40;
      this.#text.append(text.slice(0, left));
      if (low) this.#text.scrollTop = this.#text.scrollHeight;
    }
    if (text.length > left) this.#more.hidden = false;
    if (this.#length < MOST_KEPT) this.#pieces.push(text);
    this.#length += text.length;
    return first;
  }

  end(): void {
    this.element.setAttribute("aria-busy", "false");
  }

  /** With ways to take it away. */
  whole(house: House, name: string): HTMLElement {
    const text = () => this.#pieces.join("");
    const take = button("Copy", () => house.copy(text(), this.#text), { class: "small" });
    take.prepend(sign("copy"));
    const save = button("Download", () => download(new Blob(this.#pieces, { type: "text/plain;charset=utf-8" }), `${name}.txt`), { class: "small" });
    save.prepend(sign("download"));
    this.element.prepend(el("div", { class: "bar" }, el("span", { class: "space" }), take, save));
    return this.element;
  }
}
