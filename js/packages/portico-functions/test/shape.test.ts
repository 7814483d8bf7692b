/** What a form asks for, by schemas as pydantic writes them. */

import { describe, expect, it } from "vitest";

import { named, type Schema, shapeOf } from "../src/shape.ts";

const ROOT: Schema = {
  $defs: {
    Colour: { enum: ["red", "green"], title: "Colour", type: "string" },
    Cat: { type: "object", title: "Cat", properties: { kind: { const: "cat" }, lives: { type: "integer", default: 9 } } },
    Dog: { type: "object", title: "Dog", properties: { kind: { const: "dog" }, name: { type: "string" } }, required: ["name"] },
    Tree: { type: "object", title: "Tree", properties: { children: { type: "array", items: { $ref: "#/$defs/Tree" } } } },
    Loop: { $ref: "#/$defs/Pool" },
    Pool: { $ref: "#/$defs/Loop" },
    "a/b": { type: "boolean" },
  },
};
const kind = (schema: Schema) => shapeOf(schema, ROOT).kind;

describe("a schema", () => {
  it.each([
    [{ type: "string" }, "text", "text"],
    [{ type: "string", format: "uuid" }, "text", "UUID"],
    [{ type: "integer" }, "number", "integer"],
    [{ type: "number" }, "number", "number"],
    [{ type: "boolean" }, "boolean", "yes or no"],
    [{ type: "string", format: "date" }, "moment", "date"],
    [{ type: "string", format: "date-time" }, "moment", "date and time"],
    [{ enum: ["a", 1, null] }, "choice", "choice"],
    [{ $ref: "#/$defs/Colour", default: "red" }, "choice", "choice"],
    [{ allOf: [{ $ref: "#/$defs/Colour" }], default: "red" }, "choice", "choice"],
    [{ type: "array", items: { type: "integer" } }, "list", "list of integer"],
    [{ type: "array", items: { $ref: "#/$defs/Colour" }, uniqueItems: true }, "choices", "choices"],
    [{ type: "array", items: { type: "string" }, uniqueItems: true }, "list", "list of text"],
    [{ type: "array", prefixItems: [{ type: "integer" }, {}], minItems: 2, maxItems: 2 }, "tuple", "tuple"],
    [{ type: "array" }, "json", "JSON"],
    [{ type: "object", additionalProperties: { type: "integer" } }, "map", "names and values"],
    [{ type: "object", additionalProperties: true }, "map", "names and values"],
    [{ $ref: "#/$defs/Cat" }, "object", "Cat"],
    [{ anyOf: [{ type: "integer" }, { type: "null" }] }, "optional", "integer"],
    [{ anyOf: [{ $ref: "#/$defs/Cat" }, { $ref: "#/$defs/Dog" }, { type: "null" }] }, "optional", "Cat or Dog"],
    [{ type: ["number", "null"] }, "optional", "number"],
    [{ anyOf: [{ type: "integer" }, { type: "string" }] }, "union", "one of several"],
    [{ anyOf: [{ type: "number" }, { type: "string", pattern: "^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$" }] }, "number", "decimal number"],
    [{ anyOf: [{ type: "number" }, { type: "string" }] }, "union", "one of several"],
    [{ oneOf: [{ $ref: "#/$defs/Cat" }, { $ref: "#/$defs/Dog" }], discriminator: { propertyName: "kind" } }, "union", "one of several"],
    [{ type: "string", contentEncoding: "base64" }, "bytes", "file"],
    [{ type: "null" }, "nothing", "nothing"],
    [{}, "json", "JSON"],
    [{ $ref: "#/$defs/a~1b" }, "boolean", "yes or no"],
  ] as [Schema, string, string][])("%j asks for %s", (schema, wanted, words) => {
    expect(kind(schema)).toBe(wanted);
    expect(named(schema, ROOT)).toBe(words);
  });

  it.each([
    [{ $ref: "#/$defs/Loop" }],
    [{ $ref: "#/$defs/Nobody" }],
    [{ $ref: "https://example.com/schema" }],
    [{ $ref: "#/%" }],
    [{ $ref: "#/constructor/prototype" }],
    [{ type: "array", items: "x", prefixItems: 3 }],
    [{ anyOf: "x", enum: {}, properties: [] }],
    [{ type: "wrong" }],
    [{ anyOf: [null, 3] }],
  ] as unknown as [Schema][])("%j is asked for somehow, and has an end", (schema) => {
    expect(() => named(schema, ROOT)).not.toThrow();
  });

  it("that holds itself is read one level at a time", () => {
    expect(named({ $ref: "#/$defs/Tree" }, ROOT)).toBe("Tree");
    expect(named({ type: "array", items: { type: "array", items: { type: "array", items: { type: "array", items: {} } } } }, ROOT)).toContain("list of list");
  });

  it("keeps the order, the defaults and the needs of its properties", () => {
    const shape = shapeOf({ type: "object", properties: { b: { type: "integer" }, a: { default: 1 } }, required: ["b"], additionalProperties: false }, ROOT);
    expect(shape).toEqual({
      kind: "object",
      properties: [
        { name: "b", schema: { type: "integer" }, required: true },
        { name: "a", schema: { default: 1 }, required: false },
      ],
      rest: undefined,
    });
  });

  it("says its bounds", () => {
    expect(shapeOf({ type: "integer", minimum: 0, exclusiveMaximum: 10n, multipleOf: 2 }, ROOT)).toMatchObject({ bounds: { least: 0, below: 10n, step: 2 } });
    expect(shapeOf({ type: "string", minLength: 2, maxLength: 500 }, ROOT)).toMatchObject({ lines: true, least: 2, most: 500 });
  });
});
