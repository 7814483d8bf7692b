"""Those who are told when something happens: a list that anyone may join and leave.

With a single slot, a second reader would take it from the first. Telling costs no more than the calls.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

logger = logging.getLogger(__name__)


class Listeners(Generic[T]):
    """Callables that are told of each value, in the order in which they came, on the thread that tells.

    Any thread may subscribe, end that, and tell: what changes the list is one step of the interpreter each.
    """

    __slots__ = ("_all",)

    def __init__(self) -> None:
        self._all: list[_Subscription[T]] = []

    def subscribe(self, listener: Callable[[T], object]) -> Callable[[], None]:
        """Tell *listener* from now on; returns what ends that, which may be called more than once.

        Those that come or go while a value is told are told of the next.
        """
        subscription = _Subscription(listener)  # the same callable may be here twice, and each ends by itself
        self._all.append(subscription)

        def unsubscribe() -> None:
            try:
                self._all.remove(subscription)
            except ValueError:  # it has left already
                pass

        return unsubscribe

    def __len__(self) -> int:
        return len(self._all)

    def tell(self, value: T) -> None:
        """Call each with *value*. One that fails is logged, and the others are told as well."""
        for subscription in tuple(self._all) if self._all else ():
            try:
                subscription.listener(value)
            except Exception:  # the others, and who tells, are not to suffer from one of them
                logger.exception("a listener failed")


class _Subscription(Generic[T]):
    """One that is told."""

    __slots__ = ("listener",)

    def __init__(self, listener: Callable[[T], object]) -> None:
        self.listener = listener
