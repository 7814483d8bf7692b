"""Typed functions: a form, a REST API with its description, and tools that agents call, all made of one signature.

- `typed`: one function, as its signature and its docstring tell it.

Not here: what ``serve`` takes for functions (`portico.adapters`), how user code is run (`portico.calls`), and how
agents reach tools (`portico.tools`).
"""
