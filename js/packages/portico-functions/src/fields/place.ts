/** Where a property of an object stands: what its field is told. */

import { fromPlain } from "../json.ts";
import { sayTheSame } from "../names.ts";
import { type Property, resolved, type Schema, shapeOf } from "../shape.ts";
import type { Place } from "./field.ts";

export function placeOf({ name, schema, required }: Property, { root, depth }: { root: Schema; depth: number }): Place {
  const whole = resolved(schema, root);
  const has = "default" in whole && whole["default"] !== undefined;
  return {
    root,
    name,
    label: titleOf(name, schema),
    required,
    nullable: shapeOf(schema, root).kind === "optional",
    part: false,
    depth: depth + 1,
    otherwise: has && !required ? fromPlain(whole["default"]) : undefined,
  };
}

/** The author's title, or else the name: what pydantic makes of a name says less to those who call by it. */
export function titleOf(name: string, schema: Schema): string {
  const title = schema["title"];
  return typeof title !== "string" || title.trim() === "" || sayTheSame(title, name) ? name : title;
}
