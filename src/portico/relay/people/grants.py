"""What a provider's token is worth: its scopes, and what it has from the token that made it.

========================  ======================================================================================
``publish:<pattern>``     publish services whose name fits (``cat``, ``cat*``, ``*``), and make keys for those
``consume:<name or *>``   told to apps; opens no service by itself: visitors use keys
``keys``                  make visitors' keys for any service of the workspace, and those to come
``manage``                see and stop everything in the workspace, list and revoke its keys and tokens
``admin``                 all that, and the relay itself
========================  ======================================================================================
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from portico.errors import InvalidOption
from portico.hub.descriptor import Principal
from portico.relay.rows import TokenRow

DEFAULT_SCOPES = ("publish:*", "keys", "consume:*")
"""Of a program that asks for none."""

EVERY_SCOPE = ("publish:*", "consume:*", "keys", "manage", "admin")

_MAX_SCOPES = 50
_SCOPE = re.compile(r"(publish|consume):([a-z0-9*?-]{1,64})|keys|manage|admin", re.ASCII)


def read_scopes(value: str | Iterable[str]) -> tuple[str, ...]:
    """The scopes in *value*, a list or a text with spaces between (RFC 6749 §3.3). Raises `InvalidOption`."""
    given = value.split() if isinstance(value, str) else list(value)
    for scope in given:
        if not isinstance(scope, str) or not _SCOPE.fullmatch(scope):
            shown = repr(scope[:80]) if isinstance(scope, str) else "what is no text"
            raise InvalidOption(
                f"{shown} is no scope; there are publish:<name or pattern>, consume:<name or *>, keys, manage"
            )
    scopes = tuple(dict.fromkeys(given))
    if not scopes or len(scopes) > _MAX_SCOPES:
        raise InvalidOption(f"a token has from one to {_MAX_SCOPES} scopes")
    return scopes


def covers(held: Iterable[str], wanted: str) -> bool:
    """Whether who has the scopes *held* may give *wanted* away. Where it cannot be told of two patterns, no."""
    for scope in held:
        if scope in (wanted, "admin"):
            return True
        kind, colon, pattern = scope.partition(":")
        wanted_kind, _, name = wanted.partition(":")
        if not colon or kind != wanted_kind:
            continue
        literal = "*" not in name and "?" not in name
        stem = pattern[:-1]
        is_prefix = pattern.endswith("*") and "*" not in stem and "?" not in stem
        if (literal and fnmatchcase(name, pattern)) or (is_prefix and name.startswith(stem)):
            return True
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What is known of a token. Times in seconds since 1970; the token itself is not kept."""

    token_id: str
    user_id: str
    workspace: str
    scopes: tuple[str, ...]
    expires: float
    label: str = ""
    created: float = 0.0
    revoked: bool = False
    parent: str = ""
    """The id of the token by which this one was made."""
    depth: int = field(default=0, compare=False)
    """How many there are above it."""

    def has(self, scope: str) -> bool:
        """Whether *scope* follows from what it has (``admin`` holds all)."""
        return covers(self.scopes, scope)

    @property
    def publishes(self) -> tuple[str, ...]:
        """Patterns of the names that it may publish."""
        if "admin" in self.scopes:
            return ("*",)
        return tuple(scope.removeprefix("publish:") for scope in self.scopes if scope.startswith("publish:"))

    def may_publish(self, name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in self.publishes)

    def principal(self) -> Principal:
        """Who speaks, for the hub. Two tokens of one user are one principal: each may take up what the other served."""
        return Principal(
            id=f"user:{self.user_id}",
            token_id=self.token_id,
            publishes=self.publishes,
            manages=self.has("manage"),
            mints=self.has("keys") or bool(self.publishes),
        )

    def public(self) -> dict[str, Any]:
        """As the control API shows it."""
        return {
            "id": self.token_id,
            "user": self.user_id,
            "workspace": self.workspace,
            "scopes": list(self.scopes),
            "label": self.label,
            "created": self.created,
            "expires": self.expires,
            "revoked": self.revoked,
        }


def under_their_makers(rows: Iterable[TokenRow]) -> dict[str, Grant]:
    """What the tokens of *rows* are worth: none outlives the one that made it, or can do more.

    The store's own rows are like that. Of a file that was damaged, or written by someone else, this makes no more than
    that: what was made by a token that is not there, or by itself in the end, is revoked.
    """
    grants = {row.id: grant_of(row) for row in rows}
    children: dict[str, list[Grant]] = {}
    for grant in grants.values():
        if grant.parent:
            children.setdefault(grant.parent, []).append(grant)
    waiting = deque(grant for grant in grants.values() if not grant.parent)
    reached: dict[str, Grant] = {}
    while waiting:
        grant = waiting.popleft()
        reached[grant.token_id] = grant
        waiting.extend(_under(grant, child) for child in children.get(grant.token_id, ()))
    for token_id, grant in grants.items():
        if token_id not in reached:
            reached[token_id] = replace(grant, revoked=True)
    return reached


def _under(maker: Grant, grant: Grant) -> Grant:
    foreign = (grant.user_id, grant.workspace) != (maker.user_id, maker.workspace)
    return replace(
        grant,
        scopes=tuple(scope for scope in grant.scopes if maker.has(scope)),
        expires=min(grant.expires, maker.expires),
        revoked=grant.revoked or maker.revoked or foreign,
        depth=maker.depth + 1,
    )


def grant_of(row: TokenRow) -> Grant:
    return Grant(
        token_id=row.id,
        user_id=row.user,
        workspace=row.workspace,
        scopes=row.scopes,
        expires=row.expires,
        label=row.label,
        created=row.created,
        revoked=row.revoked,
        parent=row.parent,
    )


def row_of(grant: Grant) -> TokenRow:
    return TokenRow(
        id=grant.token_id,
        user=grant.user_id,
        workspace=grant.workspace,
        scopes=grant.scopes,
        label=grant.label,
        created=grant.created,
        expires=grant.expires,
        revoked=grant.revoked,
        parent=grant.parent,
    )
