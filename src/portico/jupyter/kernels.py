"""Kernels: each that the server starts gets a credential of its own, and the hub hears when one ends.

The kernel manager is asked and told through its own methods; the wraps here add an environment before a start and a
word after an end. Behind a gateway only ``KERNEL_*`` variables travel, so a remote kernel needs an explicit URL.
"""

from __future__ import annotations

import inspect
import os
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from portico.provider.discovery import CERTIFICATE_VARIABLE, HUB_VARIABLE, KERNEL_VARIABLE, TOKEN_VARIABLE


class Kernels:
    """The server's kernels, as the hub sees them."""

    def __init__(
        self, kernel_manager: Any, *, mint: Callable[[str], str], hub_url: Callable[[], str], certificate: str = ""
    ) -> None:
        """*certificate* is SHA-256 (hex) of the server's own, where it speaks TLS."""
        self._manager = kernel_manager
        self._mint = mint
        self._hub_url = hub_url
        self._certificate = certificate
        self._ending: dict[str, int | None] = {}
        """The kernels that are being ended, and the process that each was: a restart ends in another."""
        self.on_ended: Callable[[str], None] = lambda kernel_id: None

    def install(self) -> None:
        """Put the wraps around the kernel manager's methods."""
        manager = self._manager
        manager.start_kernel = self._wrap_start(manager.start_kernel)
        for method in ("restart_kernel", "shutdown_kernel"):
            setattr(manager, method, self._wrap_end(getattr(manager, method)))

    def _wrap_start(self, start: Callable[..., Any]) -> Callable[..., Any]:
        async def start_kernel(*args: Any, **kwargs: Any) -> Any:
            kernel_id = kwargs.get("kernel_id")
            if kernel_id is None or kernel_id not in self._manager:
                kernel_id = kwargs["kernel_id"] = kernel_id or str(uuid.uuid4())
                # sessions pass an environment; a bare POST of a kernel does not
                env = dict(kwargs.get("env") or os.environ)
                env[HUB_VARIABLE] = self._hub_url()
                env[TOKEN_VARIABLE] = self._mint(kernel_id)
                env[KERNEL_VARIABLE] = kernel_id
                env[CERTIFICATE_VARIABLE] = self._certificate
                kwargs["env"] = env
            return await _maybe(start(*args, **kwargs))

        return start_kernel

    def _wrap_end(self, end: Callable[..., Any]) -> Callable[..., Any]:
        async def end_kernel(kernel_id: str, *args: Any, **kwargs: Any) -> Any:
            self._ending[kernel_id] = self.process(kernel_id)
            self.on_ended(kernel_id)
            try:
                return await _maybe(end(kernel_id, *args, **kwargs))
            finally:
                self._ending.pop(kernel_id, None)

        return end_kernel

    def knows(self, kernel_id: str) -> bool:
        """Whether the kernel is this server's, and not on its way out."""
        if kernel_id not in self._manager:
            return False
        return kernel_id not in self._ending or self.process(kernel_id) not in (None, self._ending[kernel_id])

    def process(self, kernel_id: str) -> int | None:
        """The process id of the kernel as it was last started; None if that is not known (a remote kernel)."""
        try:
            return getattr(self._manager.get_kernel(kernel_id).provisioner, "pid", None)
        except (KeyError, AttributeError):
            return None

    async def lives(self, kernel_id: str, process: int | None) -> bool:
        """Whether the kernel still runs, and still as *process* where that is known."""
        if not self.knows(kernel_id):
            return False
        now = self.process(kernel_id)
        if process is not None and now != process:
            return False  # it was started again
        return bool(await _maybe(self._manager.get_kernel(kernel_id).is_alive()))

    def active(self, kernel_id: str) -> None:
        """Traffic counts as the kernel's activity, so that one that serves is not culled as idle."""
        if kernel_id in self._manager:
            self._manager.get_kernel(kernel_id).last_activity = datetime.now(UTC)


async def _maybe(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value
