/** What comes back: events in pieces, and refusals in plain words. */

import { describe, expect, it } from "vitest";

import { EventReader, refusal, resultOf } from "../src/answer.ts";
import { parse } from "../src/json.ts";
import { fitsQuery, summaryOf, textsOf } from "../src/request.ts";
import { csvOf, rowsOf } from "../src/separated.ts";
import type { FunctionAbout } from "../src/about.ts";
import type { JsonObject } from "../src/json.ts";

describe("events", () => {
  const text = ': hello\n\ndata: one\ndata:two\r\nevent: x\r\n\r\nevent: result\rdata: {"a": 1}\r\rid: 3\ndata\n\ndata: cut';
  const events = [
    { name: "x", data: "one\ntwo" },
    { name: "result", data: '{"a": 1}' },
    { name: "", data: "" },
  ];

  it("are the same however the text is cut", () => {
    for (let size = 1; size <= text.length; size += 1) {
      const reader = new EventReader();
      const got = [];
      for (let at = 0; at < text.length; at += size) got.push(...reader.feed(text.slice(at, at + size)));
      expect(got, `pieces of ${size}`).toEqual(events);
    }
  });
});

describe("a refusal", () => {
  it.each([
    [401, "", "This is not served any more, or you are not signed in.", "Load this page again: it asks you to sign in if that is what is missing."],
    [403, '{"detail": "This key does not open it."}', "This key does not open it.", "Ask whoever serves it for access, or for a key."],
    [404, "<html>", "This function is not served here any more.", "Load this page again to see what is."],
    [413, "", "This is more than may be sent.", "Send less: smaller files, or fewer."],
    [429, '{"error": {"message": "Too often."}}', "Too often.", "Try again in 7 seconds."],
    [500, '{"detail": "ValueError: no"}', "ValueError: no", ""],
    [503, "", "What serves this is not there at the moment.", "Try again in 7 seconds."],
    [418, "", "The server answered with status 418.", ""],
    [599, "x", "The server answered with status 599.", "Try again in 7 seconds."],
  ])("of %i says what it means and what to do", (status, body, message, advice) => {
    const told = refusal(status, body, "7");
    expect([told.message, told.advice]).toEqual([message, advice]);
  });

  it("names fields", () => {
    const body = '{"detail": [{"type": "x", "loc": ["body", "tags", 2], "msg": "No."}, {"msg": 3}, "x", {"loc": null, "msg": "All."}]}';
    expect(refusal(422, body, null).details).toEqual([
      { loc: ["body", "tags", 2], msg: "No." },
      { loc: [], msg: "All." },
    ]);
  });

  it.each(["soon", "-1", "9".repeat(30), "Wed, 21 Oct 2015 07:28:00 GMT"])("with Retry-After %s names no time", (after) => {
    expect(refusal(429, "", after).advice).toBe("Try again in a moment.");
  });
});

describe("a result", () => {
  it("may be shown in other ways", () => {
    const result = resultOf(parse('{"result": 1, "text": "1", "display": {"text/plain": "1", "text/html": 3}}'), true);
    expect(result.text).toBe("1");
    expect([...(result.display ?? [])]).toEqual([["text/plain", "1"]]);
    expect(resultOf(parse('{"result": {"a": 1}}'), false)).toEqual({ value: parse('{"a": 1}') });
  });
});

const ABOUT = {
  schema: {
    $defs: { Colour: { enum: ["red"] } },
    properties: { text: { type: "string" }, either: { anyOf: [{ type: "integer" }, { type: "string" }] }, count: { type: "integer" }, any: {}, tags: { type: "array" }, colour: { $ref: "#/$defs/Colour" }, none: { default: null } },
  },
} as unknown as FunctionAbout;

describe("a form", () => {
  it("has texts as they are and JSON otherwise, and no null", () => {
    const values = parse('{"text": "3", "either": "x", "count": 3, "any": "3", "tags": ["a"], "colour": "red", "none": null}') as JsonObject;
    expect(textsOf(values, ABOUT)).toEqual([["text", "3"], ["either", "x"], ["count", "3"], ["any", '"3"'], ["tags", '["a"]'], ["colour", "red"]]);
  });

  it("that would say something else is no query", () => {
    const fits = (values: string) => fitsQuery({ values: parse(values) as JsonObject, files: [] }, ABOUT);
    expect(fits('{"text": "3", "count": 3, "any": "3", "none": null}')).toBe(true);
    expect(fits('{"either": 3}')).toBe(false);
    expect(fits('{"count": null}')).toBe(false);
  });

  it("is told in few words", () => {
    expect(summaryOf({ secrets: ["s"], values: parse(`{"s": "secret", "a": "${"x".repeat(99)}", "b": [1]}`) as JsonObject, files: ["c.png"] })).toBe(`s=…, a="${"x".repeat(38)}…, b=[1], c.png`);
  });
});

describe("cells", () => {
  it("are read from CSV and from a spreadsheet", () => {
    expect(rowsOf('a,"b ""c"", d"\r\n\r\n1,"2\n3"\n', 9)).toEqual([["a", 'b "c", d'], ["1", "2\n3"]]);
    expect(rowsOf("a\tb, c\n1\t2", 9)).toEqual([["a", "b, c"], ["1", "2"]]);
    expect(rowsOf("a,b\n1,2\n3,4", 2)).toEqual([["a", "b"], ["1", "2"]]);
    expect(rowsOf("", 2)).toEqual([]);
  });

  it("come back as they were", () => {
    const rows = [["a", 'b"c', "d,e"], ["", "f\ng", "h"]];
    expect(rowsOf(csvOf(rows), 9)).toEqual(rows);
  });
});
