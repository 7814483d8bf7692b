"""Conditions on access, beyond who calls: until when, from where, with which password, how often, how much at once.

`Conditions` is what a provider asked for, read and checked. `portico.hub.enforcer` holds it against requests.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import unicodedata
from dataclasses import dataclass, field
from functools import cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from portico.errors import Refused
from portico.hub.config import HubConfig

_FIELDS = frozenset({"password", "cidr", "expires", "rate", "concurrency", "max_body"})
MAX_PASSWORD = 1000  # characters
_MAX_NETWORKS = 100
_MAX_COUNT = 1_000_000_000
_MAX_BODY = 1 << 50


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
    if not isinstance(value, str) or not 0 < len(value) <= MAX_PASSWORD:
        raise _invalid(f"a password is a text of 1 to {MAX_PASSWORD} characters")
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
    return keyed(b"password", unicodedata.normalize("NFC", text).encode("utf-8", "surrogatepass"))


def keyed(*parts: bytes) -> bytes:
    """HMAC-SHA256 of *parts* under the random key of this process."""
    mac = hmac.new(_process_key(), digestmod=hashlib.sha256)
    for part in parts:
        mac.update(len(part).to_bytes(4, "big") + part)
    return mac.digest()
