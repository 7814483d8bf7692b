"""The addresses that a server listens on, taken before anything else is done.

Here: binding them, and one clear line where that cannot be. Source: RFC 6761 §6.3 (``localhost``).
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from portico.errors import StartupFailed


def listen(host: str, port: int) -> list[socket.socket]:
    """Bind *port* of each address that *host* has; ``localhost`` mostly has two. Raises `StartupFailed`."""
    where = f"{host or 'every address'}, port {port}"
    try:
        found = socket.getaddrinfo(
            host.strip("[]") or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE if not host else 0
        )
    except (OSError, UnicodeError) as error:
        raise StartupFailed(f"cannot listen on {where}: {getattr(error, 'strerror', None) or error}") from None
    sockets: list[socket.socket] = []
    wrong: OSError | None = None
    for family, kind, protocol, _, address in dict.fromkeys(found):
        try:
            sockets.append(_bound(family, kind, protocol, (address[0], port, *address[2:])))
            port = sockets[0].getsockname()[1]  # of port 0: the one that was found, for the other address, too
        except OSError as error:
            wrong = error
            if _is_taken(error):
                break
            # the machine may have no IPv6, though its name for itself has such an address
    if not sockets or (wrong is not None and _is_taken(wrong)):
        for each in sockets:
            each.close()
        raise not_bound(where, port, wrong)
    return sockets


def _bound(family: int, kind: int, protocol: int, address: tuple[Any, ...]) -> socket.socket:
    made = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # Windows lets two programs have one port by it
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
    except BaseException:
        made.close()
        raise
    return made


def _is_taken(error: OSError) -> bool:
    return error.errno in (errno.EADDRINUSE, errno.EACCES, errno.EPERM)


def not_bound(where: str, port: int, error: OSError | None) -> StartupFailed:
    if error is not None and error.errno == errno.EADDRINUSE:
        return StartupFailed(
            f"cannot listen on {where}: another program does. End it, or take another port: --port {port + 1}"
        )
    if error is not None and error.errno in (errno.EACCES, errno.EPERM):
        return StartupFailed(f"cannot listen on {where}: this user may not. Ports from 1024 on are for everybody")
    reason = (error.strerror or str(error)) if error is not None else "it has no address"
    return StartupFailed(f"cannot listen on {where}: {reason}. Name an address of this machine with --host")
