"""Holds the conditions of services against requests: passwords, rates, networks, times; and counts what that needs.

Here too: the passes of browsers that gave a password. They are sealed with a secret of this process, so that a hub that
starts anew asks for the password again.

Nothing of HTTP is known here but an address and a few bytes; `portico.hub.gateway` brings both together. Concurrency
and the size of bodies are checked where a request is opened (`portico.hub.opening`).
"""

from __future__ import annotations

import base64
import binascii
import hmac
import math
import time
from collections import deque
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address

from portico.bounded import BoundedCache
from portico.hub.access import Visitor
from portico.hub.answers import Answer, forbidden
from portico.hub.conditions import MAX_PASSWORD, Conditions, Rate, digest, keyed
from portico.networks import network_of

_LONGEST_PASSWORD = 4 * MAX_PASSWORD
"""Bytes that so many characters have at most. To normalise a text costs the square of a run of combining marks."""

_ATTEMPTS = 10
_ATTEMPTS_WITHIN = 600.0  # seconds
_REMEMBERED = 10_000
"""Visitors whose rate, and addresses whose wrong passwords, are remembered; the longest unseen is forgotten first, and
then starts afresh."""

PASS_LIFETIME = 7 * 86400
"""Seconds until a browser is asked for the password again."""
CONFIRMED_LIFETIME = 86400
"""Seconds until a browser is shown again who made the page."""


def basic_password(authorization: bytes) -> bytes | None:
    """The password of an Authorization header of the Basic scheme, whatever the user's name (RFC 7617); else None."""
    scheme, _, given = authorization.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        decoded = base64.b64decode(given.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    _, colon, password = decoded.partition(b":")
    return password if colon else None


def _address(client: str | None) -> IPv4Address | IPv6Address | None:
    """The visitor's address; one of IPv4 in IPv6's clothes (RFC 4291 §2.5.5.2) is one of IPv4. None: not known."""
    if not client:
        return None
    try:
        address = ip_address(client)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


# --- what is counted --------------------------------------------------------------------------------------------


class Enforcer:
    """Holds conditions against requests, for one workspace. Memory is bounded, whoever calls."""

    def __init__(
        self,
        workspace: str = "",
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        remembered: int = _REMEMBERED,
    ) -> None:
        """*clock* never goes back, *now* is in seconds since 1970."""
        self.workspace = workspace
        """What passes are bound to. Another workspace of the same name has another."""
        self._workspace = workspace.encode()
        self._clock = clock
        self._now = now
        self._buckets: BoundedCache[tuple[str, str], tuple[float, float]] = BoundedCache(
            remembered, None, oldest_first=True
        )
        """Of a service and a visitor: how many requests were left at which time."""
        self._failures: BoundedCache[tuple[str, str], deque[float]] = BoundedCache(remembered, None, oldest_first=True)
        """Of a service and an address: when wrong passwords came."""

    def check(self, conditions: Conditions, client: str | None) -> None:
        """Time and place. Raises an `Answer` (403). *client* is the visitor's address."""
        if conditions.expires is not None and self._now() >= conditions.expires:
            raise forbidden(
                "Its author opened it until a time that has passed. Ask whoever gave it to you for another.",
                "link_expired",
            )
        if conditions.networks is not None:
            address = _address(client)
            if address is None or not any(
                address.version == network.version and address in network for network in conditions.networks
            ):
                raise forbidden("This is open to some networks alone, and you are not in one of them.", "address")

    def count(self, rate: Rate, service: str, visitor: Visitor, client: str | None) -> None:
        """One more request of this visitor. Raises an `Answer` (429, with Retry-After) if it is one too many."""
        if visitor.key_id:
            who = f"key:{visitor.key_id}"
        elif visitor.user_id:
            who = f"user:{visitor.user_id}"
        else:
            who = network_of(client or "")
        clock = self._clock()
        a_second = rate.count / rate.seconds
        left, since = self._buckets.get((service, who), (float(rate.count), clock))
        left = min(rate.count, left + (clock - since) * a_second)
        wait = (1.0 - left) / a_second
        self._buckets.keep((service, who), (left if wait > 1e-9 else left - 1.0, clock))
        if wait > 1e-9:
            raise Answer(
                429,
                "rate_limited",
                f"More requests came from you than the {rate.text} that the app's author allows. Try again later.",
                retry_after=math.ceil(wait),
            )

    def try_password(self, conditions: Conditions, service: str, client: str | None, password: bytes) -> bool:
        """Whether *password* is the one. Raises an `Answer` (429) after too many wrong ones from this address."""
        assert conditions.password is not None
        who = (service, network_of(client or ""))
        failures = self._failures.get(who)
        clock = self._clock()
        if failures is not None:
            while failures and failures[0] <= clock - _ATTEMPTS_WITHIN:
                failures.popleft()
            if len(failures) >= _ATTEMPTS:
                # The right one is refused too, or the refusal would not hold a guesser up.
                raise Answer(
                    429,
                    "too_many_attempts",
                    "Too many wrong passwords came from your address. Try again later.",
                    retry_after=math.ceil(failures[0] + _ATTEMPTS_WITHIN - clock),
                )
        if self.is_password(conditions, password):
            return True
        self._failures.keep(who, failures or deque(maxlen=_ATTEMPTS)).append(clock)
        return False

    @staticmethod
    def is_password(conditions: Conditions, password: bytes) -> bool:
        """The same, without counting: for someone who is let in already."""
        if conditions.password is None or len(password) > _LONGEST_PASSWORD:
            return False
        return hmac.compare_digest(digest(password), conditions.password)

    # --- what a browser is given to show next time: bound to the workspace, the service, and the password ----------

    def make_pass(self, conditions: Conditions, service: str) -> str:
        """The cookie of one who gave the password. Worth nothing once the password is another."""
        return self._seal(b"pass", service, conditions.password or b"", PASS_LIFETIME)

    def is_pass(self, conditions: Conditions, service: str, value: bytes) -> bool:
        return conditions.password is not None and self._is_sealed(b"pass", service, conditions.password, value)

    def make_confirmation(self, service: str) -> str:
        """The cookie of one who was told that a stranger made the page."""
        return self._seal(b"confirmed", service, b"", CONFIRMED_LIFETIME)

    def is_confirmation(self, service: str, value: bytes) -> bool:
        return self._is_sealed(b"confirmed", service, b"", value)

    def _seal(self, purpose: bytes, service: str, secret: bytes, lifetime: float) -> str:
        until = b"%d" % int(self._now() + lifetime)
        mac = keyed(purpose, self._workspace, service.encode(), secret, until)
        return f"{until.decode()}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"

    def _is_sealed(self, purpose: bytes, service: str, secret: bytes, value: bytes) -> bool:
        until, _, given = value.partition(b".")
        if len(until) > 12 or not until.isdigit() or int(until) <= self._now():
            return False
        mac = base64.urlsafe_b64encode(keyed(purpose, self._workspace, service.encode(), secret, until)).rstrip(b"=")
        return hmac.compare_digest(mac, given)


def busy(concurrency: int) -> Answer:
    """The service has as many requests in flight as its author allows. When one ends cannot be told."""
    return Answer(
        429, "concurrency", f"This takes {concurrency} requests at once, and has them. Try again.", retry_after=1
    )
