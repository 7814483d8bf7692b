"""Logging in at a relay from a place without a browser: the OAuth 2.0 device authorization grant (RFC 8628). And out.

The relay gives a code and a page; a person opens the page in any browser, signs in there, and says yes to the code;
meanwhile this asks for the token, as often as the relay allows. Blocking.
"""

from __future__ import annotations

import base64
import json
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from portico import foreign
from portico.errors import LinkClosed, Refused
from portico.provider.api import call, fetch
from portico.provider.credentials import Credential
from portico.provider.discovery import HubAddress

CLIENT = "portico"
_SCOPE = "publish:* keys manage"
"""What the commands of the command line need."""
_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_SLOWER = 5.0  # seconds more between two questions after slow_down, and after a time-out (RFC 8628 §3.5)
_INTERVAL = 5.0  # seconds, where the relay names none (RFC 8628 §3.2)
_SLOWEST = 60.0  # seconds between two questions, whatever the relay says
_LONGEST = 24 * 3600.0  # seconds that a code is waited for, whatever the relay says
_FOREVER = 1e11  # seconds that no token is meant to last: what is longer, or no number, says nothing
_MOST_CODE = 40  # characters: people type it
_MOST_NAME = 200  # characters of a user or a workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """What the person is to do. Times are in seconds."""

    url: str
    """The page to open."""
    complete_url: str
    """The same with the code in it, for a link or a QR code; may be empty."""
    code: str
    """What to compare, or to type."""
    expires_in: float
    interval: float
    device_code: str

    def __repr__(self) -> str:
        return f"Challenge({self.url!r}, {self.code!r})"  # never the device code


class DeviceLogin:
    """One login at the relay at *base*, its URL with a slash at its end."""

    def __init__(
        self,
        base: str,
        *,
        workspace: str = "",
        insecure: bool = False,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._base = base
        self._workspace = workspace
        self._insecure = insecure
        self._clock = clock
        self._sleep = sleep

    def begin(self) -> Challenge:
        """Ask for a code. Raises `Refused` or `LinkClosed`."""
        answer = self._post(
            "portico/device_authorization",
            client_id=CLIENT,
            scope=_SCOPE,
            workspace=self._workspace,
            label=f"{CLIENT} on {platform.node()}"[:100],
        )
        try:
            url = foreign.web_url(answer["verification_uri"])
            return Challenge(
                url=url,
                complete_url=_complete(answer.get("verification_uri_complete", ""), url),
                code=foreign.text(answer["user_code"], _MOST_CODE),
                expires_in=min(float(answer["expires_in"]), _LONGEST),
                interval=min(max(1.0, float(answer.get("interval", _INTERVAL))), _SLOWEST),
                device_code=str(answer["device_code"]),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            why = f": {error}" if type(error) is ValueError else ""
            raise LinkClosed(f"{self._base} does not answer as a relay does when a login begins{why}") from None

    def finish(self, challenge: Challenge) -> Credential:
        """Wait until the person has said yes, and return the token.

        Raises `Refused` when they said no, or the code has expired; `LinkClosed` when the relay cannot be reached.
        """
        interval = challenge.interval
        deadline = self._clock() + challenge.expires_in
        while self._clock() < deadline:
            self._sleep(interval)
            try:
                answer = self._post(
                    "portico/token", grant_type=_GRANT, device_code=challenge.device_code, client_id=CLIENT
                )
            except LinkClosed:
                interval += _SLOWER  # it may be back before the code expires
            except Refused as error:
                if error.code == "slow_down":
                    interval += _SLOWER
                elif error.code == "access_denied":
                    raise Refused("the login was declined", error.code) from None
                elif error.code == "expired_token":
                    break
                elif error.code != "authorization_pending":
                    raise
            else:
                return self._credential(answer)
        raise Refused("the code has expired before anyone said yes to it; try again", "expired_token")

    def _credential(self, answer: dict[str, Any]) -> Credential:
        token = answer.get("access_token")
        if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
            raise LinkClosed(f"{self._base} gave no token")
        now = time.time()
        lifetime = answer.get("expires_in")
        return Credential(
            url=self._base,
            token=token,
            workspace=foreign.text(answer.get("workspace") or "", _MOST_NAME),
            user=foreign.text(answer.get("user") or _subject(token), _MOST_NAME),
            expires=now + float(lifetime) if isinstance(lifetime, (int, float)) and 0 < lifetime < _FOREVER else 0.0,
            saved=now,
        )

    def _post(self, path: str, **fields: str) -> dict[str, Any]:
        form = urlencode({name: value for name, value in fields.items() if value}).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        return fetch(self._base + path, "POST", headers=headers, form=form, insecure=self._insecure)


def revoke(credential: Credential, *, insecure: bool = False) -> None:
    """Have the relay refuse the token from now on. Nothing, if it does so already. Raises `Refused` or `LinkClosed`."""
    address = HubAddress(credential.url, credential.token, "portico login", insecure=insecure)
    try:
        token_id = str(call(address, "GET", "me").get("token", {}).get("id", ""))
        call(address, "DELETE", f"tokens/{quote(token_id, safe='')}")
    except Refused as error:
        if error.status != 401:  # expired, or revoked elsewhere
            raise


def _complete(url: object, page: str) -> str:
    """The page with the code in it, if it is on the same server: a reader is shown the other. Raises `ValueError`."""
    if not url:
        return ""
    complete = foreign.web_url(url)
    return complete if urlsplit(complete)[:2] == urlsplit(page)[:2] else ""


def _subject(token: str) -> str:
    """Whose token it says that it is (RFC 7519 §4.1.2), for people: nothing is decided by it."""
    claims = token.split(".")[1] if token.count(".") == 2 else ""
    try:
        return str(json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4))).get("sub", ""))
    except (ValueError, AttributeError, RecursionError):
        return ""
