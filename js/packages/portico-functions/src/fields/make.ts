/** Which field a schema gets. */

import { named, resolved, type Schema, shapeOf } from "../shape.ts";
import { BooleanField, ChoiceField, ChoicesField, FixedField } from "./choices.ts";
import type { Field, Place } from "./field.ts";
import { EncodedFileField } from "./files.ts";
import { ListField, TupleField } from "./lists.ts";
import { MapField, ObjectField } from "./objects.ts";
import { JsonField, MomentField, NumberField, TextField } from "./texts.ts";
import { OptionalField, UnionField } from "./unions.ts";

/** Deeper than that a value is asked for as JSON: frames in frames have no room any more, and one may hold itself. */
const DEEPEST = 8;

/** The field of *schema* at *place*. It shows nothing yet: `write` is to be called. */
export function make(schema: Schema, place: Place): Field {
  const { root } = place;
  const whole = resolved(schema, root);
  const shape = shapeOf(schema, root);
  const type = named(schema, root);
  const hint = hintOf(schema, whole, place);
  if (place.depth > DEEPEST) return new JsonField(place, hint, false, "JSON");
  const mayBeLeft = !place.required && place.otherwise === undefined && !place.part;
  switch (shape.kind) {
    case "optional":
      return optional(shape.inner, { ...place, nullable: true }, hint, type);
    case "text":
      return new TextField(place, hint, shape, type);
    case "number":
      return new NumberField(place, hint, shape, type);
    case "moment":
      return new MomentField(place, hint, shape, type);
    case "json":
      return new JsonField(place, hint, shape.lenient, type);
    case "boolean":
      return mayBeLeft ? yesOrNo(place, hint) : new BooleanField(place, hint);
    case "choice":
      return shape.options.length === 1 ? new FixedField(place, shape.options[0] ?? null) : new ChoiceField(place, hint, shape.options, type);
    case "nothing":
      return new FixedField(place, null);
  }
  if (mayBeLeft) return new OptionalField(place, hint, schema, type, make);
  switch (shape.kind) {
    case "choices":
      return new ChoicesField(place, hint, shape.options);
    case "list":
      return new ListField(place, hint, shape, type, make);
    case "tuple":
      return shape.rest === undefined ? new TupleField(place, hint, shape, type, make) : new JsonField(place, hint, false, type);
    case "object":
      return new ObjectField(place, hint, shape, type, make);
    case "map":
      return new MapField(place, hint, shape, type, make);
    case "union":
      return new UnionField(place, hint, shape, type, make);
    case "bytes":
      return new EncodedFileField(place, hint, shape.accept, type);
  }
}

/** One that may be null: an empty field where that can be seen, else a box to tick. */
function optional(inner: Schema, place: Place, hint: string, type: string): Field {
  const shape = shapeOf(inner, place.root);
  const typed = `${type}, optional`;
  switch (shape.kind) {
    case "text":
      return new TextField(place, hint, shape, typed);
    case "number":
      return new NumberField(place, hint, shape, typed);
    case "moment":
      return new MomentField(place, hint, shape, typed);
    case "json":
      return new JsonField(place, hint, shape.lenient, typed);
    case "boolean":
      return yesOrNo(place, hint);
    case "choice":
      return new ChoiceField(place, hint, shape.options, typed);
  }
  return new OptionalField(place, hint, inner, type, make);
}

function yesOrNo(place: Place, hint: string): Field {
  return new ChoiceField(place, hint, [true, false], place.nullable ? "yes or no, optional" : "yes or no", ["yes", "no"]);
}

/** What is said below a field: its description. Of an item of a list, nothing: the list has said it. */
function hintOf(schema: Schema, whole: Schema, place: Place): string {
  if (place.part) return "";
  const said = schema["description"] ?? whole["description"];
  return typeof said === "string" ? said.trim() : "";
}
