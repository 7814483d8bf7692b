"""Who asks for tools, as one request says it."""

from __future__ import annotations

from dataclasses import dataclass

from portico.hub.callers import Caller
from portico.hub.request import VisitorRequest
from portico.hub.tools.catalog import View
from portico.hub.tools.eras import MODERN, SESSION_HEADER
from portico.networks import network_of

_LONGEST_SESSION = 200  # bytes of an Mcp-Session-Id that tell it from others: ours have 22


@dataclass(frozen=True, slots=True)
class CallingAgent:
    """One caller, let in to the URL."""

    request: VisitorRequest
    """As it came, with what counts for nobody here."""
    caller: Caller
    view: View
    version: str
    """Of MCP, as a header says it; "" if none does."""

    @property
    def modern(self) -> bool:
        return self.version == MODERN

    @property
    def owner(self) -> str:
        """For whom counts what it takes: a key, a user, or an address."""
        return owner_of(self.caller, self.request)

    @property
    def session(self) -> bytes:
        """What tells it from others who call with the same key; b"" if nothing does."""
        found = next((value for name, value in self.request.headers if name == SESSION_HEADER), b"")
        return found[:_LONGEST_SESSION]


def owner_of(caller: Caller, request: VisitorRequest) -> str:
    """As `CallingAgent.owner`."""
    visitor = caller.visitor
    if visitor.key_id:
        return f"key:{visitor.key_id}"
    if visitor.user_id:
        return f"user:{visitor.user_id}"
    return network_of(request.client[0]) if request.client else ""


def takes_events(request: VisitorRequest, *, plainly: bool = False) -> bool:
    """Whether the caller takes a stream of events for an answer; *plainly*: it says so in full."""
    accepted = [value.lower() for name, value in request.headers if name == b"accept"]
    if not accepted:
        return not plainly
    return any(b"text/event-stream" in value or (b"*/*" in value and not plainly) for value in accepted)


def of_a_program(request: VisitorRequest, path: bytes) -> VisitorRequest:
    """*request* without its cookies and its query, which browsers send along and links hold."""
    headers = [pair for pair in request.headers if pair[0] != b"cookie"]
    return request._replace(headers=headers, target=path, fields=None)
