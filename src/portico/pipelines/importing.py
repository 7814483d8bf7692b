"""Imports for pipelines that are made ready side by side: a package that none has yet is imported by one at a time.

Packages that import their parts lazily, as Haystack's do, put another module in their own place when they are imported,
and parts of them import each other. A thread that waits for such a package then gets the module that was replaced; or
two threads wait for each other, until Python ends that with an error, and leaves the package half imported for good.

Here: that lock. Not here: whose imports these are (`loading`, `yaml_pipelines`).
"""

from __future__ import annotations

import importlib
import logging
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)

_alone = threading.RLock()
"""One thread may take it twice: what is imported imports more."""


LONGEST_WAIT = 30.0
"""Seconds to wait for what another thread imports: packages take some, and a file that loads a model at its top may
take minutes, or hang. Then it goes on side by side, as in any program with threads."""


@contextmanager
def importing() -> Iterator[None]:
    """Import within this block what may not be there yet. So deploys may set up at once, but not import at once."""
    is_alone = _alone.acquire(timeout=LONGEST_WAIT)
    if not is_alone:
        log.warning("Another pipeline has been importing for %g s; its file may do much at its top", LONGEST_WAIT)
    try:
        yield
    finally:
        if is_alone:
            _alone.release()


def is_imported(package: str) -> bool:
    """Whether *package*, the first part of a module's name, is imported, and no thread is still at it."""
    module = sys.modules.get(package)
    if module is None:
        return False
    return not getattr(getattr(module, "__spec__", None), "_initializing", False)


def import_all(modules: Iterable[str]) -> None:
    """Import *modules*, one thread at a time. What cannot be imported is left to whoever needs it, who says so."""
    missing = [name for name in dict.fromkeys(modules) if name not in sys.modules]
    if not missing:
        return
    with importing():
        for name in missing:
            try:
                importlib.import_module(name)
            except Exception:  # a module's own code may raise anything
                log.debug("%s cannot be imported", name, exc_info=True)
