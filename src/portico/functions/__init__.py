"""Typed functions: a form, a REST API with its description, and tools that agents call, all made of one signature.

What a function is:

- `typed`: one function, as its signature and its docstring tell it. `conventions`: what a room reads in its own way.
- `signature`: makes that of a function. `hints`: what its annotations mean. `fields`: its parameters, one by one.
  `schema`: JSON Schema of what it takes and gives. `docstrings`: what its docstring says.
- `example`: a call of it that a person can paste.
- `mark`: ``@portico.tool``. `names`: what may name a function.

A call of it:

- `calling`: from what a caller gave to the result. `mistakes`: bounds how many are found in it;
  `choices`: what is tried with it. `results`: what becomes
  of what the function gives. `failing`: what its caller is told of an exception. `line`: where calls wait for their
  turn. `turn`: a call on a thread has one.
- `given`: what a function may ask for that callers cannot set: headers, who calls, a way to say how far it is.
- `as_tools`: a function as a tool that agents call. `tool_content`: its result as they get it.

Values that JSON alone does not hold, both ways: `values`.

As an app:

- `server`: the ASGI app of one or several functions: its routes.
- `run_route`: one function behind its URL. `request`: reads arguments. `form`: those with files. `texts`: how text
  stands for values. `invalid`: says what is wrong. `streams`: a result in pieces, as text or as events.
- `openapi`: the description of all, for programs. `docs`: the same as a page. `assets`: the files of both pages.

For people: `page`.

Not here: what ``serve`` takes for functions (`portico.adapters`), how user code is run (`portico.calls`), and how
agents reach tools (`portico.tools`).
"""
