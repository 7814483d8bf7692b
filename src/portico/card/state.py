"""All that a person is shown of a service, as one frozen record of plain values.

`Service.card_state` makes it (`portico.provider.service`). Whatever shows a service draws the record, at any time and
on any thread: by then the service may be gone. So the record holds no live object, and nothing that opens something: no
key, no password. How it looks, wording and times among it, is decided in `render`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureState:
    """The newest exception that left the app."""

    time: float
    """Seconds since 1970."""
    doing: str
    """What the app was doing: ``GET /portico/apps/cat/hello``."""
    summary: str
    """The exception's last line."""
    own: str
    """The part of the traceback that is in the author's own code."""
    traceback: str
    total: int
    """How many there were so far, with this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareState:
    """A link to the service, by a relay."""

    name: str
    relay: str
    """The relay's URL."""
    url: str
    status: str
    """As `portico.provider.sharing.Share` has it."""
    error: str
    """Why it failed or stopped, in plain words."""
    access: str
    """``public``, ``key`` or ``private``."""
    shared: float
    """When it was shared, in seconds since 1970."""
    expires: float | None
    """Until when visitors are let in, in seconds since 1970; None for as long as it is shared."""
    has_password: bool
    networks: tuple[str, ...]
    """Where visitors come from; empty for anywhere."""
    rate: str
    """Of each visitor, such as ``60/min``; empty for any."""
    concurrency: int | None
    """Requests of all visitors at once; None for any."""
    max_body: int | None
    """Bytes of a request's body; None for any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallState:
    """How a program calls it: an example, with values that fit."""

    path: str
    """Below the service's URL."""
    body: str
    """A JSON object: what is sent by POST."""
    files: tuple[str, ...] = ()
    """Fields beside those of the body that are files: then all is sent as ``multipart/form-data``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardState:
    """A service."""

    name: str
    title: str
    kind: str
    """``app``, ``chat``, ``functions``, or what another package's adapter calls it."""
    how: str
    """What was found to be served, for people."""
    models: tuple[str, ...]
    """The ids of its models."""
    tools: tuple[str, ...]
    """The names of its tools, which agents may call."""
    call: CallState | None
    """How a program calls it, if more is needed than its URL."""
    url: str
    """Ends with a slash; empty where it has none."""
    docs_url: str
    """The app's own documentation page; empty if there is none."""
    access: str
    """``private``, ``key`` or ``public``."""
    origins: tuple[str, ...]
    """Other origins whose pages may call it."""
    status: str
    """As `portico.provider.service.Service` has it."""
    error: str
    """Why it failed or stopped, in plain words."""
    holder: str
    """What it ends with: a ``kernel`` of the hub's own server, a ``process``, or a ``tab``, whose page previews it."""
    notice: str
    """Why a page shows no preview."""
    served: float
    """When it was served, in seconds since 1970."""
    requests: int
    """How many visitors' requests its process has had."""
    notes: tuple[str, ...]
    """What its author should know: what is different since it was served before, or what may be wrong."""
    remarks: tuple[str, ...]
    """What its author should know of the app: parameters of a chat function that nothing is known of."""
    shares: tuple[ShareState, ...]
    failure: FailureState | None

    @property
    def is_live(self) -> bool:
        """Whether visitors reach it, or will once its link is back."""
        return self.status in ("live", "reconnecting")

    @property
    def is_previewed(self) -> bool:
        """Whether it is the page of its own kernel that shows it, and no hub."""
        return self.holder == "tab"

    def as_json(self) -> dict[str, Any]:
        """The same in what JSON has: dicts, lists, text, numbers, true, false and null."""
        shown: dict[str, Any] = _plain(self)
        return shown


def _plain(value: Any) -> Any:
    if isinstance(value, (CardState, CallState, ShareState, FailureState)):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    return [_plain(each) for each in value] if isinstance(value, tuple) else value
