"""Portico inside IPython: ``%load_ext portico`` gives ``%serve``.

- `magics`: parses the line and does what it says.
- `rerun`: which options still hold when a cell is run again with others.
- `binding`: a service follows the name that it was served from, as cells are run.
- `display`: keeps a service's card true.
- `doctor`: ``%serve --doctor``: how the hub was found, or why not.

What serving means is up to the provider; nothing here knows the wire.
"""

from __future__ import annotations

from typing import Any


def load_ipython_extension(ipython: Any) -> None:
    """Called by ``%load_ext portico``."""
    from portico.notebook.magics import ServeMagics

    before = ipython.magics_manager.registry.get(ServeMagics.__name__)
    if before is not None:  # it is loaded anew: the cards are the new one's from now on
        before.cards.close()
    magics = ServeMagics(ipython)
    ipython.register_magics(magics)
    magics.bindings.watch()


def unload_ipython_extension(ipython: Any) -> None:
    """Called by ``%unload_ext portico``: services stay, names are not followed any more."""
    from portico.notebook.magics import ServeMagics

    magics = ipython.magics_manager.registry.get(ServeMagics.__name__)
    if magics is not None:
        magics.bindings.unwatch()
