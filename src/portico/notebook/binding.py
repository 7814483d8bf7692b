"""Live binding: a service follows the name that it was served from.

After each cell the expression is looked up again; if it means another object, the service's app is replaced. Only
expressions that looking up cannot change anything by are followed: names, attributes, and dicts and lists of them.
"""

from __future__ import annotations

import ast
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from portico.errors import PorticoError
from portico.provider.provider import Provider
from portico.provider.service import Service
from portico.provider.serving import renew

_PASSIVE = (
    ast.Expression,
    ast.Name,
    ast.Attribute,
    ast.Dict,
    ast.List,
    ast.Tuple,
    ast.Constant,
    ast.Load,
)


def is_passive(expression: str) -> bool:
    """Whether looking *expression* up again and again does nothing but look."""
    try:
        tree = ast.parse(expression, mode="eval")
    except SyntaxError:
        return False
    return all(isinstance(node, _PASSIVE) for node in ast.walk(tree))


def parts_of(thing: Any) -> list[Any]:
    """What must stay the same objects for *thing* to count as unchanged."""
    if isinstance(thing, dict):
        return [part for pair in thing.items() for part in pair]
    if isinstance(thing, (list, tuple)):
        return list(thing)
    return [thing]


@dataclass
class Binding:
    """One service and the expression that it follows."""

    service: Service
    expression: str
    chat: bool
    bound: list[Any] = field(repr=False)
    failed: list[Any] = field(default_factory=list, repr=False)
    """What was tried last and did not start: not tried again until it changes."""
    said: str = ""
    """What the card says of that."""


def _same(left: list[Any], right: list[Any]) -> bool:
    return len(left) == len(right) and all(
        a is b or (isinstance(a, _MADE_ANEW) and type(a) is type(b) and a == b)
        for a, b in zip(left, right, strict=True)
    )


_MADE_ANEW = (str, types.MethodType)
"""What looking up may give as another object, though it is the same: a dict's keys, and ``flats.predict``, which is
equal if it is the same function of the very same object."""


class Bindings:
    """All that a notebook's services follow."""

    def __init__(
        self,
        shell: Any,
        provider: Provider,
        changed: Callable[[Service, str], None],
        why: Callable[[PorticoError], str] = str,
    ) -> None:
        """*changed* is told of each service that has a new app, and what it follows; *why* puts an error in words."""
        self._shell = shell
        self._provider = provider
        self._changed = changed
        self._why = why
        self._bindings: dict[str, Binding] = {}

    def watch(self) -> None:
        self._shell.events.register("post_run_cell", self._after_cell)

    def unwatch(self) -> None:
        self._shell.events.unregister("post_run_cell", self._after_cell)
        self._bindings.clear()

    def bind(self, service: Service, expression: str, thing: Any, *, chat: bool) -> None:
        """Follow *expression*, which means *thing* now."""
        self._bindings[service.name] = Binding(service, expression, chat, parts_of(thing))

    def unbind(self, name: str) -> None:
        self._bindings.pop(name, None)

    def lookup(self, expression: str) -> Any:
        """What *expression* means in the notebook. Raises what evaluating it raises."""
        return eval(expression, self._shell.user_global_ns, self._shell.user_ns)

    def names(self) -> list[str]:
        """The names that the notebook has for things, but for those that IPython keeps for itself."""
        return [name for name in self._shell.user_ns if not name.startswith("_")]

    def _after_cell(self, result: Any = None) -> None:
        for name, binding in tuple(self._bindings.items()):
            if binding.service.status in ("stopped", "failed"):
                del self._bindings[name]
                continue
            try:
                thing = self.lookup(binding.expression)
            except Exception:  # noqa: BLE001 - the name is gone or half-defined: the service stays with what it has
                continue
            parts = parts_of(thing)
            if _same(parts, binding.bound) or _same(parts, binding.failed):
                continue
            try:
                renew(binding.service, thing, chat=binding.chat)
            except PorticoError as error:
                binding.failed = parts
                why = f"the new {binding.expression} does not start, the one before stays live: {self._why(error)}"
                print(f"{name}: {why}", file=sys.stderr)
                self._note(binding, f"{why[0].upper()}{why[1:]}".splitlines()[0])
            else:
                binding.bound, binding.failed = parts, []
                self._note(binding, "")
                self._changed(binding.service, binding.expression)

    def _note(self, binding: Binding, text: str) -> None:
        """Have the card say *text* in place of what it said last of this binding."""
        service = binding.service
        if text != binding.said:
            service.notes = (*(note for note in service.notes if note != binding.said), *([text] if text else []))
            binding.said = text
            self._provider.thread.call(self._provider.news.changed, service)
