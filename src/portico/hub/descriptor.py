"""Who speaks to a hub, and what a provider says of a service in REGISTER, read and checked.

Who may have a name is decided by the `registry`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from typing import Any

from portico.errors import InvalidName, Refused
from portico.hub.conditions import Conditions
from portico.hub.config import HubConfig
from portico.protocol import offer
from portico.protocol.offer import NO_TOOLS, Capability, ToolList, is_line
from portico.types import ServiceName, service_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who speaks on a link or to the control API: a kernel (by its credential), a user, or whoever holds a token."""

    id: str
    """``kernel:<id>`` or ``user:<id>``. Who comes back with the same id may take its names up again."""
    kernel_id: str = ""
    process: int | None = None
    """The kernel's process, where it is known: after a restart the kernel is the same, and not the one that spoke."""
    token_id: str = field(default="", compare=False)
    """Of the token that it showed, where a token can be revoked: then its links end."""
    publishes: tuple[str, ...] | None = field(default=None, compare=False)
    """Patterns (``cat*``) of the names that it may publish; None for any."""
    manages: bool = field(default=True, compare=False)
    """Whether it sees and stops everything here, and makes keys for any service."""
    mints: bool = field(default=True, compare=False)
    """Whether it makes keys at all."""

    def may_publish(self, name: str) -> bool:
        return self.publishes is None or any(fnmatchcase(name, pattern) for pattern in self.publishes)

    def may_take_from(self, holder: Principal) -> bool:
        """Whether it may have a name that *holder* has: take it over, or share its requests.

        A kernel's hub is one user's, and all of its kernels are theirs.
        """
        return self.manages or bool(self.kernel_id) or holder.id == self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """A service as its provider describes it."""

    name: ServiceName
    title: str = ""
    kind: str = "app"
    models: tuple[str, ...] = ()
    access: str = "private"
    origins: tuple[str, ...] = ()
    conditions: Conditions | None = None
    """What must hold besides; None, as mostly, for nothing."""
    routing: str = "least-busy"
    """Which of its replicas gets a request, by the name of a policy of `portico.hub.routing`."""
    tag: str = ""
    """What the ids of responses that this replica stores carry (`portico.hub.models.stored`); "" if they carry none."""
    tools: ToolList = NO_TOOLS
    capabilities: tuple[Capability, ...] = ()
    more: dict[str, Any] = field(default_factory=dict)
    """What else it says, which this version does not know: kept for whoever does."""

    @staticmethod
    def read(value: dict[str, Any], config: HubConfig) -> Descriptor:
        """Check what a REGISTER frame holds. Raises `Refused`."""
        given = value.get("name", "")
        try:
            name = service_name(given if is_line(given, 200) else "")
        except InvalidName as error:
            raise Refused(str(error), "invalid_name") from None
        access = value.get("access", "private")
        if access not in ("private", "key", "public"):
            raise Refused("access is private, key or public", "invalid_option")
        if access not in config.allowed_access:
            allowed = ", ".join(sorted(config.allowed_access))
            raise Refused(
                f"The administrator of this server does not allow {access!r} access, only: {allowed}.", "access"
            )
        title, origins = value.get("title", ""), value.get("origins", [])
        if not is_line(title, 200):
            raise Refused("title is a text of at most 200 characters, on one line", "invalid_option")
        try:
            kind = offer.check_kind(value.get("kind", "app"))
            models = offer.check_models(value.get("models", []))
            tools = offer.check_tools(value.get("tools", {}))
            capabilities = offer.check_capabilities(value.get("capabilities", []))
            more = offer.check_more({key: value[key] for key in value.keys() - _KNOWN})
        except ValueError as error:
            raise Refused(str(error), "invalid_option") from None
        if not (isinstance(origins, list) and len(origins) <= 100 and all(is_line(item, 200) for item in origins)):
            raise Refused("origins is a list of at most 100 short texts", "invalid_option")
        if not all(origin == "*" or _ORIGIN.fullmatch(origin) for origin in origins):
            raise Refused("an origin is scheme and host, such as https://chat.example.com, or *", "invalid_option")
        routing = value.get("routing", config.routing)
        if not is_line(routing, 50):
            raise Refused("routing is the name of a policy", "invalid_option")
        tag = value.get("tag", "")
        if not (is_line(tag, 32) and (not tag or _TAG.fullmatch(tag))):
            raise Refused("tag has 8 to 32 of a to z and 0 to 9", "invalid_option")
        conditions = Conditions.read(value.get("conditions"), config)
        if conditions is not None and conditions.password is not None and access != "public":
            raise Refused(
                f"A password goes with public access; {access!r} has its own ways to say who comes in.",
                "invalid_option",
            )
        return Descriptor(
            name=name,
            title=title,
            kind=kind,
            models=models,
            access=access,
            origins=tuple(origins),
            conditions=conditions,
            routing=routing,
            tag=tag,
            tools=tools,
            capabilities=capabilities,
            more=more,
        )


_KNOWN = frozenset(field.name for field in fields(Descriptor)) - {"more"} | {"replace", "replica"}
"""The keys of a REGISTER's ``service``: those of the fields, and what is asked of the registry."""

_TAG = re.compile(r"[a-z0-9]{8,32}")
_ORIGIN = re.compile(r"https?://[^\s/?#@\\,]+")
