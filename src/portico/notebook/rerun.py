"""What holds when a cell with ``%serve`` is run again, with other options than before.

What restricts (a password, an expiry, networks, a rate, limits, access by key alone) stays until it is taken away by
name. What opens (public access, other origins, a link) holds only while it is named. What is neither (a title) stays.
Whatever changed is said on the card.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from portico.provider.options import Options, Terms
from portico.provider.sharing import Share

_REACH = {
    "private": "open to you and whoever has a key",
    "key": "open to whoever has a key",
    "public": "public",
}


def access(before: Options | None, named: str | None) -> str:
    """Who may call the service here: as *named*, or as *before* unless that was public."""
    if named is not None:
        return named
    return before.access if before is not None and before.access != "public" else "private"


def title(before: Options | None, named: str | None) -> str:
    if named is not None:
        return named
    return before.title if before is not None else ""


def changes(before: Options | None, now: Options) -> list[str]:
    """What is different of the service itself, for people."""
    if before is None:
        return []
    said = []
    if before.access != now.access:
        said.append(f"It is {_REACH[now.access]} now; before it was {_REACH[before.access]}.")
    if gone := [origin for origin in before.origins if origin not in now.origins]:
        said.append(f"Pages of {', '.join(gone)} cannot call it any more (--origin was not given).")
    return said


PASSWORD_IS_SAVED = (
    "The password is in this cell, and so in the notebook's file: whoever reads that knows it. "
    "With --password alone it is asked for."
)

_FLAGS = {
    "password": "a password",
    "expires": "an expiry",
    "cidr": "networks",
    "rate": "a rate",
    "concurrency": "a limit of requests at once",
    "max_body": "a limit of a body's size",
}


def link_changes(before: Terms | None, now: Share, named: Collection[str]) -> list[str]:
    """What of a link stayed though it was not named, and what was taken away, for people.

    *named* are the options that the cell gave, by their names in Python.
    """
    if before is None:
        return []
    kept = [name for name in _FLAGS if name in now.conditions and name not in named]
    said = []
    if kept:
        flags = ", ".join("--no-" + name.replace("_", "-") for name in kept)
        said.append(f"The link has {_and([_FLAGS[name] for name in kept])}, as before ({flags} to take away).")
    if aside := [name for name in _FLAGS if name in now.aside]:
        said.append(f"The link's {', '.join(aside)} is put aside, and holds again with public access.")
    held = {**before.aside, **before.conditions}
    if gone := [name for name in _FLAGS if name in held and name not in {**now.conditions, **now.aside}]:
        said.append(f"The link does not have {_and([_FLAGS[name] for name in gone])} any more.")
    if before.access != now.access:
        said.append(f"Access to the link is {now.access} now; before it was {before.access}.")
    elif now.access != "public" and "access" not in named:
        said.append(f"Access to the link is {now.access}, as before (--access public to open it).")
    return said


def ended(share: Share) -> str:
    """That a link was taken back since the cell did not ask for it any more."""
    return f"It is not shared any more by {share.relay} (--share was not given)."


def _and(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
