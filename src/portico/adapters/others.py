"""Adapters that other packages declare, by the entry-point group ``portico.adapters``.

An entry's name is the module whose objects the adapter claims, its value where the adapter is::

    [project.entry-points."portico.adapters"]
    haystack = "portico_haystack:adapter"
    haystack_integrations = "portico_haystack:adapter"

So it is known which adapter is for an object without any of them being imported. One is imported when such an object is
served, and once. Its code is never trusted to be right: whatever it raises becomes `Broken`, which says so.
"""

from __future__ import annotations

import importlib
import inspect
import json
import logging
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any, TypeVar

from portico.adapters.looking import is_a, modules_of, name_of
from portico.adapters.taken import Adapter, Taken, TakeOptions
from portico.asgi.adapt import adapt
from portico.calls.endings import is_failure
from portico.card.state import CallState
from portico.errors import NotServable, PorticoError
from portico.protocol import offer

logger = logging.getLogger(__name__)

GROUP = "portico.adapters"

NOT_OFFERED = frozenset(("builtins", "__main__", "portico", "starlette", "fastapi"))
"""Top-level modules whose objects no adapter claims: Python's own, a notebook's own, ours, and those of ASGI apps."""

ANSWERS_WITHIN = 5.0
"""Seconds for ``claims``: it looks at an object, and a person waits. It may look at one that has no end."""

_LONGEST_HOW = 200  # characters: a line of a card
_SAID = 300  # characters of an exception that are said in a sentence; the whole is in the log

T = TypeVar("T")


class Broken(Exception):
    """An adapter did what it may not. Its text says which one, and what."""


@dataclass(frozen=True, slots=True)
class Declared:
    """An adapter that some package declares."""

    module: str
    """Objects of this module, and of those below it, are offered to it."""
    value: str
    """Where it is: ``module:name``."""
    package: str
    """What installed it."""
    load: Callable[[], Any]

    def __str__(self) -> str:
        return f"the adapter {self.value} of {self.package}"


class Others:
    """All that is declared in this environment, read anew when something has been installed."""

    def __init__(self) -> None:
        self._declared: dict[str, list[Declared]] = {}
        """By module."""
        self._seen: tuple[Any, ...] | None = None
        """What ``sys.path`` was like when it was read."""
        self._loaded: dict[tuple[str, str], tuple[Adapter, Any]] = {}
        """By package and value: the adapter, and the module that it is from."""
        self._said: set[str] = set()
        """What was logged, once, of entries that cannot be right."""

    def for_thing(self, thing: Any) -> list[Declared]:
        """The adapters to be asked of *thing*, in their order, without importing any of them.

        The adapter for the nearest of its classes comes first, and the one that names its module more exactly. Of
        equals it is the one whose package, and then whose place in that, is the first by the alphabet.
        """
        modules = [name for name in modules_of(thing) if name.partition(".")[0] not in NOT_OFFERED]
        if not modules:
            return []
        known = self._read()
        if not known:
            return []
        found: dict[tuple[str, str], Declared] = {}
        for module in modules:
            parts = module.split(".")
            for length in range(len(parts), 0, -1):
                for declared in known.get(".".join(parts[:length]), ()):
                    found.setdefault((declared.package, declared.value), declared)
        return list(found.values())

    def all(self) -> Iterable[Declared]:
        """Every adapter that is declared."""
        return [declared for _, of_module in sorted(self._read().items()) for declared in of_module]

    def _read(self) -> dict[str, list[Declared]]:
        """By module. Each package's metadata is looked through, so this is done once for each state of ``sys.path``."""
        seen = tuple((path, _changed(path)) for path in sys.path)
        if seen != self._seen:
            importlib.invalidate_caches()  # something may have been installed: it, and what it needs, is to be found
            read: dict[str, list[Declared]] = {}
            for declared in sorted(_entries(), key=lambda declared: (declared.package, declared.value)):
                if (why := _why_not(declared.module)) is None:
                    read.setdefault(declared.module, []).append(declared)
                else:
                    self._say_once(f"{_capital(declared)} is for {declared.module!r}, which {why}. It is skipped.")
            self._declared, self._seen = read, seen
        return self._declared

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            logger.warning("%s", text)

    # --- what runs an adapter's code --------------------------------------------------------------------------------

    def claims(self, declared: Declared, thing: Any) -> bool:
        """Whether the adapter claims *thing*. Raises `Broken`."""
        adapter = self._load(declared)
        try:
            answer = _within(ANSWERS_WITHIN, lambda: adapter.claims(thing))
        except _TookTooLong:
            raise Broken(
                f"{_capital(declared)} did not say within {ANSWERS_WITHIN:g} s whether it claims the object"
            ) from None
        except BaseException as error:
            raise _broken(declared, "when it was asked whether it claims the object", error) from error
        if not isinstance(answer, bool):
            _let_go(answer)
            raise Broken(f"{_capital(declared)} is wrong: claims gave {_a(answer)}, and not True or False")
        return answer

    def take(self, declared: Declared, thing: Any, options: TakeOptions) -> Taken:
        """What the adapter makes of *thing*, checked. Raises `Broken`; or what it says to the author of *thing*."""
        adapter = self._load(declared)
        try:
            taken = adapter.take(thing, options)
        except PorticoError:
            raise
        except BaseException as error:
            raise _broken(declared, "when it was to take the object", error) from error
        if not is_a(taken, Taken):
            _let_go(taken)
            raise Broken(f"{_capital(declared)} is wrong: take gave {_a(taken)}, and not a portico.adapters.Taken")
        try:
            return _checked(taken, thing, declared, options)
        except (ValueError, NotServable) as error:
            raise Broken(f"{_capital(declared)} is wrong: what take gave cannot be served: {error}") from error
        except BaseException as error:
            raise _broken(declared, "when what it gave was looked at", error) from error

    def _load(self, declared: Declared) -> Adapter:
        """Import it, if that has not been done; one that could not be imported is tried again. Raises `Broken`."""
        key, module = (declared.package, declared.value), re.split(r"[:\s\[]", declared.value, maxsplit=1)[0]
        found = self._loaded.get(key)
        if found is not None and found[1] is sys.modules.get(module):  # else its author has had it forgotten
            return found[0]
        try:
            loaded = declared.load()
            adapter: Adapter = loaded() if isinstance(loaded, type) else loaded
            missing = [name for name in ("claims", "take") if not callable(getattr(adapter, name, None))]
        except BaseException as error:
            raise _broken(declared, "when it was imported", error) from error
        if missing:
            raise Broken(f"{_capital(declared)} is wrong: it has no {' and no '.join(missing)} to call")
        self._loaded[key] = adapter, sys.modules.get(module)
        return adapter


OTHERS = Others()
"""Those of this process."""


def by_others(thing: Any, options: TakeOptions, troubles: list[str]) -> Taken | None:
    """*thing*, taken by another package's adapter; None if none takes it. Those that broke are added to *troubles*.

    Raises what the adapter says to the author of *thing*: `NotServable`, or another `PorticoError`.
    """
    claimants: list[Declared] = []
    for declared in OTHERS.for_thing(thing):
        try:
            if OTHERS.claims(declared, thing):
                claimants.append(declared)
        except Broken as error:
            _skip(error, troubles)
    if len(claimants) > 1:
        logger.warning(
            "an object of type %s is claimed by %s; the first is asked first: it is for the nearest class, or its "
            "package's name comes first",
            name_of(type(thing)),
            ", and by ".join(map(str, claimants)),
        )
    for declared in claimants:
        try:
            return OTHERS.take(declared, thing, options)
        except Broken as error:
            _skip(error, troubles)
    return None


def _skip(error: Broken, troubles: list[str]) -> None:
    """Tell who may mend it; the next adapter is asked."""
    text = f"{error}"
    troubles.append(text)
    logger.warning("%s. It is skipped.", text, exc_info=error.__cause__)


# --- reading what is declared -----------------------------------------------------------------------------------


def _changed(path: str) -> int | None:
    try:
        return os.stat(path or ".").st_mtime_ns
    except (OSError, ValueError):  # a folder that is not there, or what is no path at all
        return None


def _entries() -> list[Declared]:
    from importlib import metadata  # only here: it takes as long to import as the rest of this package

    try:
        entries = list(metadata.entry_points(group=GROUP))
    except Exception:  # one package's metadata cannot be read: so each is read by itself
        logger.debug("reading the entry points of all packages", exc_info=True)
        entries = []
        for distribution in metadata.distributions():
            try:
                entries += distribution.entry_points.select(group=GROUP)
            except Exception:  # noqa: BLE001 - its metadata is broken, and says nothing to us
                continue
    unique = {(entry.name, entry.value, _package_of(entry)): entry for entry in entries}
    return [Declared(name, value, package, entry.load) for (name, value, package), entry in unique.items()]


def _package_of(entry: Any) -> str:
    distribution = getattr(entry, "dist", None)
    name = distribution.name if distribution is not None else None
    return name if isinstance(name, str) else "an unknown package"


def _why_not(module: str) -> str | None:
    """Why nobody can claim the objects of *module*; None if somebody can."""
    if not all(part.isidentifier() for part in module.split(".")):
        return "is not the name of a module: an entry's name is the module whose objects it claims"
    if module.partition(".")[0] in NOT_OFFERED:
        return "is a module whose objects no adapter may claim"
    return None


# --- calling what is not ours -----------------------------------------------------------------------------------


class _TookTooLong(BaseException):
    """Ends the code of an adapter. No Exception, which such code may catch as it goes on."""


def _within(seconds: float, call: Callable[[], T]) -> T:
    """What *call* gives. Its Python code is ended by `_TookTooLong` after that many *seconds*.

    By a trace function, which Python calls at each line: this works in any thread, and in a browser tab, where there is
    nothing else that could interrupt a loop. Under a debugger there is no limit: a person steps through it.
    """
    if sys.gettrace() is not None:
        return call()
    end = time.monotonic() + seconds

    def look(frame: FrameType, event: str, argument: Any) -> Any:
        if time.monotonic() > end:
            raise _TookTooLong
        return look

    sys.settrace(look)
    try:
        return call()
    finally:
        sys.settrace(None)


def _broken(declared: Declared, when: str, error: BaseException) -> Broken:
    """What is said of *error*, which left the adapter's code. Raises it again if it is the user's own (Ctrl-C)."""
    is_failure(error, stopped=False)
    text = " ".join("".join(traceback.format_exception_only(error)).split())
    return Broken(f"{_capital(declared)} failed {when}: {text[:_SAID]}")


def _let_go(value: Any) -> None:
    """A coroutine that nobody will await is closed, so that Python does not complain of it later."""
    if inspect.iscoroutine(value):
        value.close()


def _a(value: Any) -> str:
    return "nothing" if value is None else f"an object of type {type(value).__name__}"


def _capital(declared: Declared) -> str:
    return f"T{str(declared)[1:]}"


def _checked(taken: Taken, thing: Any, declared: Declared, options: TakeOptions) -> Taken:
    """*taken*, with its app as an ASGI app. Raises `ValueError` or `NotServable` if it may not be so."""
    if not isinstance(taken.tools, offer.ToolList):
        raise ValueError("tools is a portico.adapters.ToolList, such as ToolList.of({name: definition})")
    tools = offer.check_tools({"names": list(taken.tools.names), "digest": taken.tools.digest})
    defined = offer.ToolList.of(taken.tools.definitions)  # which are JSON, though someone made the list by hand
    kind, models = offer.check_kind(taken.kind), offer.check_models(taken.models)
    capabilities = offer.check_capabilities(list(taken.capabilities))
    if not kind:
        raise ValueError("its kind is empty; 'app' is the usual one")
    if isinstance(taken.remarks, str) or not all(isinstance(remark, str) for remark in taken.remarks):
        raise ValueError("remarks is a list of texts")
    how = taken.how or f"{name_of(type(thing))}, by {declared.package}"
    if not offer.is_line(how, _LONGEST_HOW):
        raise ValueError(f"how is a text of at most {_LONGEST_HOW} characters, on one line")
    adapted = adapt(taken.app, options.mount, options.threads)
    return Taken(
        adapted.app,
        kind,
        models,
        how,
        tuple(taken.remarks),
        replace(tools, definitions=defined.definitions),
        capabilities,
        _checked_call(taken.call),
    )


def _checked_call(call: Any) -> CallState | None:
    """*call* as it can be shown. Raises `ValueError` for what is no example of a call."""
    if call is None:
        return None
    texts = is_a(call, CallState) and all(isinstance(one, str) for one in (call.path, call.body, *call.files))
    if not texts or not isinstance(json.loads(call.body), dict):
        raise ValueError('call is a portico.card.state.CallState(path="run", body=\'{"a": 1}\'), whose body is JSON')
    return CallState(path=call.path, body=call.body, files=tuple(call.files))
