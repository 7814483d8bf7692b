/** Nothing of a function or of a result becomes markup of the page: only `frame.ts` knows how, and it makes a frame of it. */

import { readdir, readFile } from "node:fs/promises";

import { expect, it } from "vitest";

const SOURCE = new URL("../src/", import.meta.url);
const MARKUP = /innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|setHTML|DOMParser|srcdoc|\beval\(|new Function|\bimport\(/;

it("has one place where text becomes markup", async () => {
  const names = (await readdir(SOURCE, { recursive: true })).filter((name) => name.endsWith(".ts"));
  expect(names.length).toBeGreaterThan(15);
  const found = [];
  for (const name of names) if (MARKUP.test(await readFile(new URL(name, SOURCE), "utf-8"))) found.push(name);
  expect(found.sort()).toEqual(["dom.ts", "frame.ts"]); // dom.ts refuses to set srcdoc
});
