"""Values that JSON alone does not hold: how callers give them, and how they are given back.

- `annotations`: which types are such values, and what pydantic is told of them in place of the type.
- `classes`: the same for dataclasses, TypedDicts and models that hold such values.
- `uploads`: files that came with a call, and what bytes in JSON look like.
- `upload_folder`: where files lie that a function wants as paths.
- `arrays`, `tables`, `images`, `figures`: a family of values each: how they are read, and how they are written.
- `pandas_tables`, `polars_tables`, `arrow_tables`: what each library needs of `tables`; `arrow` reads Arrow's
  bytes, whose cost `arrow_cost` counts; `cells` are those of CSV.
- `families`: of which family a type or a value is, found by its name alone.
- `json_form`: a result as JSON, whatever it holds.
- `encodings`: a result in the form that the caller asks for by ``Accept``; `accepting` reads that header.
- `displays`: a result as a notebook would show it.
- `off_loop`: reads and writes large values off the event loop.
- `bounds`: what a value that a stranger sends may cost.

No library of such values is imported here before a user's code has imported it: a type's name says whose it is.
"""
