"""The OAuth device flow (RFC 8628): a program without a browser gets a provider token, when a user allows it in one.

The program is given a device code, which it alone knows, and a user code, which its user types at the relay; then it
polls. What is pending is in memory: it lasts ten minutes, and a relay that restarts has the program begin anew. No web
framework here.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from portico.errors import InvalidName, InvalidOption, StoreFailed
from portico.hub.keys import InvalidKey
from portico.networks import network_of
from portico.relay.people.accounts import Account, Attempts
from portico.relay.people.grants import DEFAULT_SCOPES, Grant, read_scopes
from portico.relay.people.tokens import TokenRing
from portico.setting_values import duration
from portico.types import service_name

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"
"""RFC 8628 §3.4."""

LIFETIME = 600.0  # seconds
INTERVAL = 5.0  # seconds between two polls; RFC 8628 §3.2
_SLOWER = 5.0  # seconds that the interval grows by with each slow_down; RFC 8628 §3.5
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
"""RFC 8628 §6.1: no vowel, so no word; none that is taken for another."""
_CODE_LENGTH = 8  # 34 bits: 10 attempts a user in 5 minutes find nothing
_MAX_PENDING = 1000
_MAX_PENDING_OF_ADDRESS = 20

RETRY_AFTER = 60
"""Seconds that a program is told to wait where too many wait already."""

_MAX_TEXT = 200
_ATTEMPTS = 10
_WINDOW = 300.0  # seconds


class OAuthError(Exception):
    """An error in OAuth's shape (RFC 6749 §5.2, RFC 8628 §3.5): a code for programs, a sentence for people."""

    def __init__(
        self, code: str, description: str, status: int = 400, headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        """*headers* go out beside those of every such answer."""
        super().__init__(description)
        self.code = code
        self.status = status
        self.headers = headers

    def body(self) -> dict[str, str]:
        return {"error": self.code, "error_description": str(self)}


@dataclass(slots=True, eq=False, kw_only=True)
class Pending:
    """A program that waits for its user. Times in seconds of the flow's clock."""

    user_code: str
    """Without the hyphen."""
    device_digest: str
    client_id: str
    scopes: tuple[str, ...]
    workspace: str
    """The one it asks for; "" for the user's own."""
    lifetime: float
    """Of the token."""
    address: str
    network: str
    """`network_of` the address."""
    agent: str
    """What the program says of itself: the User-Agent header."""
    label: str
    origin: str
    """Of the web page that asked, as its browser tells it; "null" for one that hides it, "" for a program."""
    expires: float
    interval: float = INTERVAL
    next_poll: float = 0.0
    status: str = "pending"
    """``pending``, ``allowed`` or ``denied``."""
    user_id: str = ""
    granted: tuple[str, ...] = field(default=())
    user_uid: str = ""
    workspace_uid: str | None = None
    """Of who allowed it, and of the workspace: others of the same names may have come by the time it is asked for."""

    @property
    def shown_code(self) -> str:
        return f"{self.user_code[:4]}-{self.user_code[4:]}"


class DeviceFlow:
    """The programs that wait, and what becomes of them."""

    def __init__(
        self,
        tokens: TokenRing,
        *,
        verification_uri: str,
        token_lifetime: float,
        max_token_lifetime: float,
        may_enter: Callable[[str, str], Account | None],
        max_tokens: int = 10_000,
        uid_of: Callable[[str], str | None] = lambda workspace: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """*may_enter* gives the account of a user's id if it may enter a workspace (now, not when it was asked).

        *max_tokens* is how many tokens a user may hold.
        *uid_of* tells a workspace from another one of its name.
        """
        self._tokens = tokens
        self._uri = verification_uri
        self._lifetime = token_lifetime
        self._max_lifetime = max_token_lifetime
        self._may_enter = may_enter
        self._max_tokens = max_tokens
        self._uid_of = uid_of
        self._now = now
        self._by_user_code: dict[str, Pending] = {}
        self._by_device: dict[str, Pending] = {}
        self._attempts = Attempts(_ATTEMPTS, _WINDOW, now=now)

    # --- the program's side -------------------------------------------------------------------------------------

    def begin(self, form: dict[str, str], *, address: str, agent: str, origin: str = "") -> dict[str, Any]:
        """Answer a device authorization request (RFC 8628 §3.1, §3.2). Raises `OAuthError`.

        A web page may begin one in its visitor's browser, from the visitor's own address: *origin* is for the user to
        see (`Pending.origin`).

        Beside ``client_id`` and ``scope`` it may hold ``workspace``, ``expires_in`` (of the token) and ``label``.
        """
        self._forget_expired()
        client_id = _line(form.get("client_id", ""), "client_id")
        if not client_id:
            raise OAuthError("invalid_request", "client_id is missing: any short name of the program.")
        try:
            scopes = read_scopes(form.get("scope", "").strip() or DEFAULT_SCOPES)
        except InvalidOption as error:
            raise OAuthError("invalid_scope", f"{error}.") from None
        workspace = form.get("workspace", "")
        try:
            workspace = service_name(workspace) if workspace else ""
        except InvalidName:
            raise OAuthError("invalid_request", "workspace is no name that a workspace can have.") from None
        try:
            lifetime = duration(form["expires_in"]) if form.get("expires_in") else self._lifetime
        except InvalidOption as error:
            raise OAuthError("invalid_request", f"expires_in: {error}.") from None
        network = network_of(address)
        held = sum(1 for pending in self._by_device.values() if pending.network == network)
        if held >= _MAX_PENDING_OF_ADDRESS:
            raise OAuthError(
                "temporarily_unavailable",
                f"{_MAX_PENDING_OF_ADDRESS} programs at your address are signing in already. Try again later.",
                429,
            )
        if len(self._by_device) >= _MAX_PENDING:
            raise OAuthError("temporarily_unavailable", "Too many programs are signing in. Try again later.", 429)
        device_code = secrets.token_urlsafe(32)  # 256 bits
        pending = Pending(
            user_code=self._unused_code(),
            device_digest=_digest(device_code),
            client_id=client_id,
            scopes=scopes,
            workspace=workspace,
            lifetime=min(lifetime, self._max_lifetime),
            address=address,
            network=network,
            agent=_printable(agent),
            label=_line(form.get("label", ""), "label"),
            origin=_printable(origin),
            expires=self._now() + LIFETIME,
        )
        self._by_user_code[pending.user_code] = self._by_device[pending.device_digest] = pending
        return {
            "device_code": device_code,
            "user_code": pending.shown_code,
            "verification_uri": self._uri,
            "verification_uri_complete": f"{self._uri}?user_code={pending.shown_code}",
            "expires_in": int(LIFETIME),
            "interval": int(INTERVAL),
        }

    async def poll(self, form: dict[str, str]) -> tuple[dict[str, Any], Grant]:
        """Answer an access token request (RFC 8628 §3.4, §3.5); what was allowed is given once. Raises `OAuthError`."""
        if form.get("grant_type") != GRANT_TYPE:
            raise OAuthError("unsupported_grant_type", f"grant_type is {GRANT_TYPE}.")
        if not form.get("device_code") or not form.get("client_id"):
            raise OAuthError("invalid_request", "device_code and client_id are needed.")
        pending = self._by_device.get(_digest(form["device_code"]))
        if pending is None or pending.client_id != form["client_id"]:
            raise OAuthError("invalid_grant", "There is no such device code: begin anew.")
        now = self._now()
        if now >= pending.expires:
            self._forget(pending)
            raise OAuthError("expired_token", "Nobody allowed this in time: begin anew.")
        if pending.status == "denied":
            self._forget(pending)
            raise OAuthError("access_denied", "The user did not allow this.")
        if now < pending.next_poll:
            pending.interval += _SLOWER
            pending.next_poll = now + pending.interval
            raise OAuthError("slow_down", f"Wait {pending.interval:g} seconds between two requests.")
        pending.next_poll = now + pending.interval
        if pending.status == "pending":
            raise OAuthError("authorization_pending", "The user has not answered yet.")
        self._forget(pending)  # before anything is waited for: a code is good once
        account = self._may_enter(pending.user_id, pending.workspace)
        same = account is not None and account.uid == pending.user_uid
        if account is None or not same or self._uid_of(pending.workspace) != pending.workspace_uid:
            raise OAuthError("access_denied", "The user may not enter the workspace any more.")
        if "admin" in pending.granted and not account.admin:
            raise OAuthError("access_denied", "The user does not administer the relay any more.")
        if self._tokens.held_by(account.id) >= self._max_tokens:
            raise OAuthError(
                "access_denied", "The user holds as many tokens as they may; a revoked one counts too.", 429
            )
        try:
            token, grant = await self._tokens.mint(
                user_id=account.id,
                workspace=pending.workspace,
                scopes=pending.granted,
                lifetime=pending.lifetime,
                label=_label(pending),
                user_uid=account.uid or None,
                workspace_uid=pending.workspace_uid,
            )
        except InvalidKey:
            raise OAuthError("access_denied", "The user may not enter the workspace any more.") from None
        except StoreFailed:  # nothing was given: the program may ask again
            self._by_device[pending.device_digest] = pending
            raise
        return {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": int(pending.lifetime),
            "scope": " ".join(grant.scopes),
            "workspace": grant.workspace,
            "token_id": grant.token_id,
        }, grant

    # --- the user's side ----------------------------------------------------------------------------------------

    def find(self, user_code: str, account: Account, address: str) -> Pending | None:
        """The program that shows *user_code*, typed in any way. Raises an `Answer` (429) after too many wrong ones.

        Who is asked for by their own code is found again; what was answered already is not.
        """
        network = network_of(address)
        self._attempts.take(f"user {account.id}", "Too many codes were wrong.")
        self._attempts.take(f"address {network}", "Too many codes that came from your network were wrong.")
        self._forget_expired()
        code = "".join(letter for letter in user_code.upper()[:_MAX_TEXT] if letter in _LETTERS)
        pending = self._by_user_code.get(code)
        if pending is None or pending.status != "pending":
            return None
        self._attempts.give_back(f"user {account.id}")
        self._attempts.give_back(f"address {network}")
        return pending

    def allow(self, pending: Pending, account: Account, workspace: str) -> bool:
        """Let the program have its token for *workspace*. False if the user may not, or it is not pending any more."""
        if pending.status != "pending" or self._now() >= pending.expires:
            return False
        if self._may_enter(account.id, workspace) is None:
            return False
        if "admin" in pending.scopes and not account.admin:
            return False
        pending.status, pending.user_id = "allowed", account.id
        pending.workspace, pending.granted = workspace, pending.scopes
        pending.user_uid, pending.workspace_uid = account.uid, self._uid_of(workspace)
        return True

    @staticmethod
    def deny(pending: Pending) -> None:
        if pending.status == "pending":
            pending.status = "denied"

    # --- upkeep -------------------------------------------------------------------------------------------------

    def _unused_code(self) -> str:
        while True:
            code = "".join(secrets.choice(_LETTERS) for _ in range(_CODE_LENGTH))
            if code not in self._by_user_code:
                return code

    def _forget(self, pending: Pending) -> None:
        self._by_user_code.pop(pending.user_code, None)
        self._by_device.pop(pending.device_digest, None)

    def _forget_expired(self) -> None:
        """A while after their time, so that a program that polls hears why."""
        now = self._now()
        for pending in [found for found in self._by_device.values() if now >= found.expires]:
            self._by_user_code.pop(pending.user_code, None)
            if now >= pending.expires + LIFETIME:
                self._by_device.pop(pending.device_digest, None)


def _digest(code: str) -> str:
    """What is kept and compared instead of the code: how long it takes to look up tells nothing."""
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).hexdigest()


def _line(text: str, what: str) -> str:
    if len(text) > _MAX_TEXT or not text.isprintable():
        raise OAuthError("invalid_request", f"{what} is a line of at most {_MAX_TEXT} characters.")
    return text


def _label(pending: Pending) -> str:
    """What the token is called where its user lists tokens: of a page's, the page is a part of it."""
    label = pending.label or pending.client_id
    return f"{label} (a page of {pending.origin})"[:_MAX_TEXT] if pending.origin else label


def _printable(text: str) -> str:
    return "".join(letter for letter in text[:_MAX_TEXT] if letter.isprintable())
