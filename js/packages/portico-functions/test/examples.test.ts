/** Programs to copy: what they say. That they run is proven in tests/browser. */

import { describe, expect, it } from "vitest";

import type { FunctionAbout } from "../src/about.ts";
import { exampleOf, type Language, LANGUAGES } from "../src/examples.ts";
import { type JsonObject, parse } from "../src/json.ts";
import type { Call } from "../src/request.ts";

const ONE: FunctionAbout = {
  name: "predict",
  title: "",
  description: "",
  schema: { properties: { area: { type: "number" }, note: { type: "string" }, anything: {} } },
  streams: false,
  progress: false,
  get: false,
  uploads: [],
};
const URL_ = "https://example.com/apps/flats/run";

function example(language: Language, values: string, more: Partial<FunctionAbout> = {}, files: Call["files"] = [], keyed = false): string {
  return exampleOf(language, { one: { ...ONE, ...more }, url: URL_, call: { values: parse(values) as JsonObject, files }, keyed });
}

describe("curl", () => {
  it("sends JSON", () => {
    expect(example("curl", '{"area": 80.5}')).toBe(`curl '${URL_}' \\\n  -H 'Content-Type: application/json' \\\n  -d '{"area": 80.5}'`);
  });

  it("shows where the key goes, and that pieces come as they come", () => {
    expect(example("curl", "{}", { streams: true }, [], true)).toContain(`curl -N '${URL_}' \\\n  -H "Authorization: Bearer $PORTICO_KEY"`);
  });

  it("leaves no quote open", () => {
    expect(example("curl", `{"note": "it's $HOME \`id\` \\\\"}`)).toContain(`-d '{"note": "it'\\''s $HOME \`id\` \\\\"}'`);
  });

  it("sends files as a form, whose texts are not read as files", () => {
    const made = example("curl", '{"note": "@/etc/passwd", "area": 3}', {}, [{ name: "photo", file: new File([""], 'a"b;c,.png') }]);
    expect(made).toContain("--form-string 'note=@/etc/passwd'");
    expect(made).toContain("--form-string 'area=3'");
    expect(made).toContain(`-F 'photo=@"a\\"b;c,.png"'`);
  });

  it("asks by GET where the author allows it and the query can say it", () => {
    expect(example("curl", '{"area": 3, "note": "a b&c"}', { get: true })).toBe(`curl '${URL_}?area=3&note=a+b%26c'`);
    expect(example("curl", '{"note": 3}', { get: true }), "a text would come instead").toContain("-d");
    expect(example("curl", '{"anything": "3"}', { get: true }), "a number would come without quotes").toContain("?anything=%223%22");
  });
});

describe("Python", () => {
  it("writes values as Python does", () => {
    const made = example("Python", '{"a": true, "b": null, "c": [1, 12345678901234567890, 1e5], "d": "\u2028\u202e\\"\\\\"}');
    for (const line of ['"a": True,', '"b": None,', '"c": [1, 12345678901234567890, 1e5],', '"d": "\\u2028\\u202e\\"\\\\",']) expect(made).toContain(`\n        ${line}\n`);
  });

  it("breaks what is long", () => {
    expect(example("Python", `{"note": "${"x".repeat(70)}", "area": 3}`)).toContain(`    json={\n        "note": "${"x".repeat(70)}",\n        "area": 3,\n    },`);
  });
});

describe("JavaScript", () => {
  it("keeps what its own values would not", () => {
    expect(example("JavaScript", '{"area": 1}')).toContain("body: JSON.stringify({");
    expect(example("JavaScript", '{"area": 12345678901234567890}')).toContain('body: "{\\"area\\": 12345678901234567890}"');
    expect(example("JavaScript", '{"anything": {"__proto__": 1}}')).toContain('body: "{');
  });
});

describe("every language", () => {
  it.each(LANGUAGES)("shows no character that turns or hides the text around it: %s", (language) => {
    const made = example(language, '{"note": "\u202e\u2066\u200b"}');
    expect(made).not.toMatch(/[\u200b\u202e\u2066]/);
  });
});
