/** JSON comes out as it went in. */

import { describe, expect, it } from "vitest";

import { encode, fromPlain, Num, parse, plain, same } from "../src/json.ts";

describe("JSON", () => {
  it.each([
    "12345678901234567890",
    "-0",
    "1.0",
    "1e400",
    "0.1000",
    '{"10": 1, "9": 2, "a": {"2": [], "1": {}}}',
    '["", "\\"", "é", "日本", "💥"]',
    "[true, false, null]",
  ])("keeps %s", (text) => {
    expect(encode(parse(text))).toBe(text);
  });

  it.each(["", "tru", "01", "+1", "1.", ".5", "[1,]", "[1 2]", '{"a" 1}', "{a: 1}", "'a'", '"\n"', '"\\x"', "1 2", "NaN", "[", '{"a":'])("refuses %j", (text) => {
    expect(() => parse(text)).toThrow(SyntaxError);
    expect(() => JSON.parse(text)).toThrow(SyntaxError);
  });

  it("says where it is wrong", () => {
    expect(() => parse('{\n "a": 1\n "b": 2}')).toThrow('A comma or } is missing before ""b": 2}" in line 3.');
  });

  it("refuses what is nested too deep, and takes the rest", () => {
    const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
    expect(() => parse(nested(100_000))).toThrow("nested more than");
    expect(encode(parse(nested(900)))).toBe(nested(900));
  });

  it("agrees with JSON.parse on any value", () => {
    const values: unknown[] = [0, -1.5, 1e300, "a\u2028\ud800b", [[], {}], { a: { b: [null, true, "\\"] } }, { __proto__x: 1, constructor: 2 }];
    for (const value of values) {
      expect(JSON.parse(encode(parse(JSON.stringify(value))))).toEqual(value);
      expect(plain(fromPlain(value))).toEqual(value);
    }
  });

  it("makes no prototype of a name", () => {
    const made = plain(parse('{"__proto__": {"polluted": true}}')) as Record<string, unknown>;
    expect(Object.getPrototypeOf(made)).toBe(null);
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  });

  it("is laid out so that short lists stay on a line", () => {
    expect(encode(parse('{"a":[1,2,3],"b":{"c":[]},"d":[{"e":1}]}'), 2)).toBe(
      '{\n  "a": [1, 2, 3],\n  "b": {\n    "c": []\n  },\n  "d": [\n    {\n      "e": 1\n    }\n  ]\n}',
    );
  });

  it("tells whether two values are the same", () => {
    expect(same(new Num("1"), new Num("1.0"))).toBe(true);
    expect(same(new Num("12345678901234567890"), new Num("12345678901234567891"))).toBe(false);
    expect(same(parse('{"a": [1, 2], "b": null}'), parse('{"b": null, "a": [1.0, 2]}'))).toBe(true);
    expect(same(parse("[1]"), parse("[1, 2]"))).toBe(false);
    expect(same("1", new Num("1"))).toBe(false);
  });
});
