"""What a relay's store holds, a row each. Nothing is decided here, and nothing is read or written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


def identity_of(name: str, uid: str | None) -> str:
    """*name* and *uid* as one text; no name holds a colon. Of one without a uid it is the name."""
    return f"{name}:{uid}" if uid else name


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRow:
    id: str
    email: str
    admin: bool
    disabled: bool
    password: str
    """An argon2 hash (RFC 9106) in its usual text form, or "" for a user who cannot sign in by one."""
    created: float
    uid: str = ""
    """Random: tells a user from one of the same name who was removed. Given by the store; "" for one of before that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceRow:
    name: str
    owner: str
    created: float
    expires: float | None
    """None for one that lasts."""
    members: tuple[str, ...] = ()
    """Users beside the owner."""
    uid: str = ""
    """As `UserRow.uid`."""

    @property
    def identity(self) -> str:
        """What its keys, passes and sign-ins are bound to: a workspace that is made anew under the name has another."""
        return identity_of(self.name, self.uid)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRow:
    id: str
    user: str
    workspace: str
    scopes: tuple[str, ...]
    label: str
    created: float
    expires: float
    revoked: bool
    parent: str = ""
    """The id of the token by which this one was made, if it was by one; it is revoked with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    digest: str
    """SHA-256 of the cookie's value, in hex."""
    user: str
    created: float
    expires: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NameRow:
    """A service's name that is held for its owner over a restart of the relay."""

    workspace: str
    name: str
    owner: str
    """The id of the principal who may take it up."""
    access: str
    descriptor: dict[str, Any]
    last_seen: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Uids:
    """Who and what there is, by name, each with its uid."""

    users: dict[str, str] = field(default_factory=dict)
    workspaces: dict[str, str] = field(default_factory=dict)
