/** The last calls: what was given and what came of it. Kept by this tab, for as long as it is open. */

import { encode, type JsonObject, parse } from "./json.ts";

export interface Past {
  function: string;
  values: JsonObject;
  /** Names of the files that went along. They themselves are kept as long as the page is, and no longer. */
  fileNames: string[];
  files: readonly { name: string; file: File }[];
  /** The names of values that nobody is to read over a shoulder: they are not stored. */
  secrets: readonly string[];
  /** Milliseconds since 1970, and how long it took. */
  at: number;
  took: number;
  outcome: "done" | "failed" | "cancelled";
}

/** Calls that are kept: what fits on about two screens. */
const MOST = 20;

/** Characters that are kept over a reload: browsers give a site 5 million, for all of its pages. */
const MOST_STORED = 200_000;

export class History {
  readonly #key: string;
  #past: Past[] = [];

  constructor(where: string) {
    this.#key = `portico-functions:${where}`;
    this.#load();
  }

  get all(): readonly Past[] {
    return this.#past;
  }

  add(past: Past): void {
    this.#past = [past, ...this.#past].slice(0, MOST);
    this.#store();
  }

  clear(): void {
    this.#past = [];
    this.#store();
  }

  #load(): void {
    try {
      const kept: unknown = JSON.parse(sessionStorage.getItem(this.#key) ?? "[]");
      if (!Array.isArray(kept)) return;
      for (const one of kept.slice(0, MOST) as Record<string, unknown>[]) {
        const values = parse(String(one["values"]));
        if (!(values instanceof Map)) continue;
        const outcome = (["done", "failed", "cancelled"] as const).find((known) => known === one["outcome"]) ?? "done";
        const fileNames = Array.isArray(one["fileNames"]) ? one["fileNames"].map(String) : [];
        this.#past.push({ function: String(one["function"]), values, fileNames, files: [], secrets: [], at: Number(one["at"]), took: Number(one["took"]), outcome });
      }
    } catch {
      // There is no storage here, or another page has written into it: the calls of this page are kept all the same.
    }
  }

  #store(): void {
    try {
      let kept = this.#past.map(({ files: _, values, secrets, ...one }) => {
        const open = new Map([...values].filter(([name]) => !secrets.includes(name)));
        return { ...one, values: encode(open) };
      });
      let text = JSON.stringify(kept);
      while (text.length > MOST_STORED && kept.length > 0) {
        kept = kept.slice(0, -1);
        text = JSON.stringify(kept);
      }
      sessionStorage.setItem(this.#key, text);
    } catch {
      // The same: without storage they are gone with the page.
    }
  }
}
