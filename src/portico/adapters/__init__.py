"""What ``serve`` takes: one table of adapters, each of which makes an app of one kind of thing.

Here: the names that another package's adapter needs. `taken` has what an adapter is given and gives, `table` the order
in which adapters are asked, `take` the asking. One file each for the kinds of things: `chat`, `libraries`, `asgi`,
`wsgi`, `functions`; `others` finds the adapters that other packages declare, and `looking` looks at a thing that may
be anything. Not here: how an app is called (`portico.asgi`), and how it is published.
"""

from portico.adapters.taken import Adapter, Taken, TakeOptions
from portico.protocol.offer import ToolList

__all__ = ["Adapter", "TakeOptions", "Taken", "ToolList"]
