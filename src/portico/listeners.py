"""Those who are told when something happens: a list that anyone may join and leave.

With a single slot, a second reader would take it from the first. Telling costs no more than the calls.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

logger = logging.getLogger(__name__)


class Listeners(Generic[T]):
    """Callables that are told of each value, in the order in which they came, on the thread that tells.

    Any thread may subscribe, end that, and tell.
    """

    __slots__ = ("_all", "_changing")

    def __init__(self) -> None:
        self._all: tuple[list[Callable[[T], object]], ...] = ()
        self._changing = threading.Lock()

    def subscribe(self, listener: Callable[[T], object]) -> Callable[[], None]:
        """Tell *listener* from now on; returns what ends that, which may be called more than once.

        Those that come or go while a value is told are told of the next.
        """
        entry = [listener]  # the same callable may be subscribed twice, and each subscription ends by itself
        with self._changing:
            self._all = (*self._all, entry)

        def unsubscribe() -> None:
            with self._changing:
                self._all = tuple(each for each in self._all if each is not entry)

        return unsubscribe

    def __len__(self) -> int:
        return len(self._all)

    def tell(self, value: T) -> None:
        """Call each with *value*. One that fails is logged, and the others are told as well."""
        for (listener,) in self._all:
            try:
                listener(value)
            except Exception:  # the others, and who tells, are not to suffer from one of them
                logger.exception("a listener failed")
