"""What ``serve`` takes: one table of adapters, each of which makes an app of one kind of thing.

The names that another package's adapter needs can be imported from here. How it is decided which adapter takes a thing:

- `table`: the adapters, in the order in which they are asked.
- `take`: asks them.
- `taken`: what an adapter is given and what it gives. `wiring`: what is said of a pipeline from outside.
- `others`: finds the adapters that other packages declare.
- `looking`: inspects a thing that may be anything, and runs as little of its code as possible.

The adapters, a file for each kind of thing: `chat` (models), `pipelines` (wrappers, Haystack's own), `functions` (typed
functions), `libraries` (objects that carry an app: gradio, FastMCP), `asgi`, `wsgi` (Flask), `event_functions`
(functions of events by their paths). For functions and models:

- `callables`: what one thing that can be called is: a chat model, a function, or neither.
- `methods`: which methods of an object or a class are served. `tool_objects`: tools of agents' libraries.

Not here: how an app is called (`portico.asgi`), and how it is published (`portico.provider`).
"""

from portico.adapters.taken import Adapter, Taken, TakeOptions
from portico.adapters.wiring import Wiring
from portico.protocol.offer import ToolList

__all__ = ["Adapter", "TakeOptions", "Taken", "ToolList", "Wiring"]
