"""Portico inside IPython: ``%load_ext portico`` gives ``%serve``.

`magics` parses and dispatches; `again` says what holds when a cell is re-run with other options; `binding` follows a
name as cells are re-run; `display` keeps a service's card true; `doctor` says how the hub was found. What serving means
is the provider's; nothing here knows the wire.
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
