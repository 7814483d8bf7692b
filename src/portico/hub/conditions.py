"""Conditions on access, beyond who calls: until when, from where, with which password, how often, how much at once.

`Conditions` is what a provider asked for, `Enforcer` holds it against requests and keeps what has to be counted. Both
know nothing of HTTP but an address and a few bytes; `portico.hub.gateway` brings them together. Concurrency and the
size of bodies are checked where a request is opened, in `Gateway.forward`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import math
import re
import secrets
import time
import unicodedata
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, TypeVar

from portico.errors import Refused
from portico.hub.access import Visitor
from portico.hub.answers import Answer, forbidden
from portico.hub.config import HubConfig
from portico.hub.shares import network_of

_FIELDS = frozenset({"password", "cidr", "expires", "rate", "concurrency", "max_body"})
_MAX_PASSWORD = 1000  # characters
_LONGEST_PASSWORD = 4 * _MAX_PASSWORD
"""Bytes that so many characters have at most. To normalise a text costs the square of a run of combining marks."""
_MAX_NETWORKS = 100
_MAX_COUNT = 1_000_000_000
_MAX_BODY = 1 << 50

_ATTEMPTS = 10
_ATTEMPTS_WITHIN = 600.0  # seconds
_REMEMBERED = 10_000
"""Visitors whose rate, and addresses whose wrong passwords, are remembered; the longest unseen is forgotten first, and
then starts afresh."""

PASS_LIFETIME = 7 * 86400
"""Seconds until a browser is asked for the password again."""
CONFIRMED_LIFETIME = 86400
"""Seconds until a browser is shown again who made the page."""


@dataclass(frozen=True, slots=True)
class Rate:
    """At most *count* at once, and then one every *seconds* / *count*: a token bucket, full at first."""

    text: str
    """As it was given: ``60/min``."""
    count: int
    seconds: float

    @staticmethod
    def read(text: str) -> Rate:
        """``5/s``, ``60/min``, ``1000/h``, ``5000/d``. Raises `ValueError`."""
        match = _RATE.fullmatch(text)
        if match is None or not 1 <= int(match[1]) <= _MAX_COUNT:
            raise ValueError(text)
        return Rate(text, int(match[1]), _SECONDS[match[2][0]])


_RATE = re.compile(r"(\d{1,10}) ?/ ?(s|sec|second|m|min|minute|h|hour|d|day)", re.ASCII)
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What must hold besides `portico.hub.access.check`. None: no such condition."""

    password: bytes | None = field(default=None, repr=False)
    """A keyed digest (`digest`); the password itself is not kept."""
    networks: tuple[IPv4Network | IPv6Network, ...] | None = None
    expires: float | None = None
    """Seconds since 1970."""
    rate: Rate | None = None
    """Of each visitor."""
    concurrency: int | None = None
    """Requests and WebSockets of the whole service at once."""
    max_body: int | None = None
    """Bytes of a request's body."""

    @staticmethod
    def read(value: object, config: HubConfig) -> Conditions | None:
        """Check the ``conditions`` of a REGISTER frame; None if there are none. Raises `Refused`."""
        if value is None or value == {}:
            return None
        if not isinstance(value, dict):
            raise _invalid("conditions are an object")
        unknown = sorted(str(name) for name in value.keys() - _FIELDS)
        if unknown:  # a condition that is not kept would protect nobody
            raise _invalid(f"no condition is named {unknown[0][:50]!r}; there are {', '.join(sorted(_FIELDS))}")
        given: dict[str, Any] = {name: held for name, held in value.items() if held is not None}
        if not given:
            return None
        password = None
        if "password" in given:
            if not config.passwords:
                raise Refused(
                    "This server asks visitors for no passwords: give them a key, or share through a relay.", "access"
                )
            password = _password(given["password"])
        return Conditions(
            password=password,
            networks=_networks(given["cidr"]) if "cidr" in given else None,
            expires=_expires(given["expires"]) if "expires" in given else None,
            rate=_rate(given["rate"]) if "rate" in given else None,
            concurrency=_count(given["concurrency"], "concurrency", 1, _MAX_COUNT) if "concurrency" in given else None,
            max_body=_count(given["max_body"], "max_body", 0, _MAX_BODY) if "max_body" in given else None,
        )

    def public(self) -> dict[str, Any]:
        """As lists show it: everything but the password, of which it says that there is one."""
        shown = {
            "password": True if self.password is not None else None,
            "cidr": [str(network) for network in self.networks] if self.networks is not None else None,
            "expires": self.expires,
            "rate": self.rate.text if self.rate is not None else None,
            "concurrency": self.concurrency,
            "max_body": self.max_body,
        }
        return {name: value for name, value in shown.items() if value is not None}


def _invalid(message: str) -> Refused:
    return Refused(message, "invalid_option")


def _password(value: object) -> bytes:
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_PASSWORD:
        raise _invalid(f"a password is a text of 1 to {_MAX_PASSWORD} characters")
    return digest(value.encode("utf-8", "surrogatepass"))


def _networks(value: object) -> tuple[IPv4Network | IPv6Network, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= _MAX_NETWORKS:
        raise _invalid(f"cidr is a list of 1 to {_MAX_NETWORKS} networks")
    found = []
    for item in value:
        try:
            if not isinstance(item, str):
                raise ValueError(item)
            network = ip_network(item, strict=False)
        except ValueError:
            raise _invalid(f"{str(item)[:50]!r} is no network; write it as 10.0.0.0/8 or 2001:db8::/32") from None
        if isinstance(network, IPv6Network) and network.prefixlen >= 96:
            mapped = network.network_address.ipv4_mapped
            if mapped is not None:
                network = IPv4Network((int(mapped), network.prefixlen - 96))
        found.append(network)
    return tuple(found)


def _expires(value: object) -> float:
    # One that has passed is taken: a provider that comes back late has its visitors told that the link has expired.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e12:
        raise _invalid("expires is a time in seconds since 1970")
    return float(value)


def _rate(value: object) -> Rate:
    try:
        if not isinstance(value, str):
            raise ValueError(value)
        return Rate.read(value)
    except ValueError:
        raise _invalid("rate is a number of requests of one visitor in a time: 5/s, 60/min, 1000/h") from None


def _count(value: object, name: str, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise _invalid(f"{name} is a whole number from {least} to {most}")
    return value


# --- passwords --------------------------------------------------------------------------------------------------


@cache
def _process_key() -> bytes:
    return secrets.token_bytes(32)


def digest(password: bytes) -> bytes:
    """What is kept of a password: HMAC-SHA256 under a random key of this process.

    A slow hash (scrypt, argon2) defends a password that was stored and then stolen. This digest is never stored, and
    its key ends with the process; whoever can read both out of this memory could read the passwords as they are typed.
    What a slow hash would cost is the event loop's time, at each REGISTER and at each request with a password.
    """
    try:
        text = password.decode()
    except UnicodeDecodeError:  # HTTP Basic from clients that write latin-1 (RFC 7617 §2.1 leaves it to them)
        text = password.decode("latin-1")
    return _hmac(b"password", unicodedata.normalize("NFC", text).encode("utf-8", "surrogatepass"))


def _hmac(*parts: bytes) -> bytes:
    mac = hmac.new(_process_key(), digestmod=hashlib.sha256)
    for part in parts:
        mac.update(len(part).to_bytes(4, "big") + part)
    return mac.digest()


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


# --- addresses --------------------------------------------------------------------------------------------------


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
        self._remembered = remembered
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()
        """Of a service and a visitor: how many requests were left at which time."""
        self._failures: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()
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
        left, since = self._buckets.pop((service, who), (float(rate.count), clock))
        left = min(rate.count, left + (clock - since) * a_second)
        wait = (1.0 - left) / a_second
        _remember(self._buckets, (service, who), (left if wait > 1e-9 else left - 1.0, clock), self._remembered)
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
        failures = self._failures.pop(who, None) or deque(maxlen=_ATTEMPTS)
        failures.append(clock)
        _remember(self._failures, who, failures, self._remembered)
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
        mac = _hmac(purpose, self._workspace, service.encode(), secret, until)
        return f"{until.decode()}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"

    def _is_sealed(self, purpose: bytes, service: str, secret: bytes, value: bytes) -> bool:
        until, _, given = value.partition(b".")
        if len(until) > 12 or not until.isdigit() or int(until) <= self._now():
            return False
        mac = base64.urlsafe_b64encode(_hmac(purpose, self._workspace, service.encode(), secret, until)).rstrip(b"=")
        return hmac.compare_digest(mac, given)


_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def _remember(known: OrderedDict[_Key, _Value], key: _Key, value: _Value, most: int) -> None:
    """Put *key* last, as the one that was seen last, and forget the first if they are too many."""
    known[key] = value
    if len(known) > most:
        known.popitem(last=False)


def busy(concurrency: int) -> Answer:
    """The service has as many requests in flight as its author allows. When one ends cannot be told."""
    return Answer(
        429, "concurrency", f"This takes {concurrency} requests at once, and has them. Try again.", retry_after=1
    )


def too_large(most: int) -> Answer:
    return Answer(413, "too_large", f"A request's body may have at most {most:,} bytes here.")
