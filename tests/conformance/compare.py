"""Makes two observations comparable, and lists how they differ.

Normalisation is here and nowhere else. It takes away what no two runs have in common, and what says nothing:

- header names on answers are lower-cased: case has no meaning (RFC 9110 §5.1), and tornado writes Http-Header-Case.
  Names that the *app* sees are left as they are: ASGI has them lower-cased by the server;
- `Date` becomes `<date>` where it is a date of today, and `Server` goes where it is the server's own: an app's own
  stay, and so does a doubled Date. A server's own headers have no place in the order;
- the host and port in any header become `<host>`, the case's id `<case>`; the carrier's prefix becomes `<root>` in
  root_path, path and raw_path;
- client and server addresses are recorded as types (app.py), a reset and an orderly end are both `ended` (wire.py),
  keepalive pings are left out (visitor.py), malformed input is judged as refused or not (visitor.py).

The order of header fields, their doubles, the reason phrase, the framing, trailers, and whether a body's end was
marked are all compared.
"""

import email.utils
import itertools
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.conformance.carriers import Carrier
from tests.conformance.visitor import Case, Observation

Pairs = list[list[str]]

MISSING = "<missing>"


@dataclass(frozen=True)
class Difference:
    """`field` says where, as `visitor.0.status` or `app.0.headers.x-one`; `order` is the order of header fields."""

    field: str
    oracle: Any
    carrier: Any

    def __str__(self) -> str:
        return f"{self.field}\n      oracle:  {self.oracle!r}\n      carrier: {self.carrier!r}"


# Normalisation.

OWN_SERVER = re.compile(r"uvicorn|TornadoServer/[\d.]+")


def _is_now(date: str) -> bool:
    try:
        return abs(email.utils.parsedate_to_datetime(date).timestamp() - time.time()) < 86400
    except (TypeError, ValueError):
        return False


def _header(name: str, value: str, carrier: Carrier) -> list[str]:
    value = value.replace(carrier.authority, "<host>")
    if name == "x-case":
        value = "<case>"
    if name.lower() == "date" and _is_now(value):
        value = "<date>"
    return [name, value]


def _answer_headers(pairs: Pairs, carrier: Carrier) -> Pairs:
    lowered = [_header(name.lower(), value, carrier) for name, value in pairs]
    return [[name, value] for name, value in lowered if not (name == "server" and OWN_SERVER.fullmatch(value))]


def _visitor(note: dict[str, Any], carrier: Carrier) -> dict[str, Any]:
    if "headers" in note:
        note = {**note, "headers": _answer_headers(note["headers"], carrier)}
    return note


def _app(seen: dict[str, Any], carrier: Carrier, case: Case) -> dict[str, Any]:
    if case.refusal:
        return {"saw_the_whole_body": seen.get("body_ended", False)}
    seen = dict(seen)
    for field in ("root_path", "path", "raw_path"):
        if seen[field].startswith(carrier.prefix):
            seen[field] = "<root>" + seen[field].removeprefix(carrier.prefix)
    # The names stay as the app saw them.
    seen["headers"] = [_header(name, value, carrier) for name, value in seen["headers"]]
    return seen


def normalised(observation: Observation, carrier: Carrier, case: Case) -> dict[str, Any]:
    app = [_app(seen, carrier, case) for seen in observation.app]
    if case.refusal:
        app = [seen for seen in app if seen["saw_the_whole_body"]]
    return {"visitor": [_visitor(note, carrier) for note in observation.visitor], "app": app}


# Comparison.


def differences(oracle: dict[str, Any], carrier: dict[str, Any]) -> list[Difference]:
    """All differences between two normalised observations, the first ones seen first."""
    return list(_compare("", oracle, carrier))


def _compare(field: str, oracle: Any, carrier: Any) -> Iterator[Difference]:
    if isinstance(oracle, dict) and isinstance(carrier, dict):
        for key in dict.fromkeys([*oracle, *carrier]):
            below = f"{field}.{key}" if field else key
            if key in ("headers", "trailers") and key in oracle and key in carrier:
                yield from _compare_headers(below, oracle[key], carrier[key])
            else:
                yield from _compare(below, oracle.get(key, MISSING), carrier.get(key, MISSING))
    elif isinstance(oracle, list) and isinstance(carrier, list):
        for i, (one, other) in enumerate(itertools.zip_longest(oracle, carrier, fillvalue=MISSING)):
            yield from _compare(f"{field}.{i}", one, other)
    elif oracle != carrier or type(oracle) is not type(carrier):
        yield Difference(field, oracle, carrier)


def _compare_headers(field: str, oracle: Pairs, carrier: Pairs) -> Iterator[Difference]:
    """Field by field, doubles in their order; then the order of what both have."""

    def values(pairs: Pairs) -> dict[str, list[str]]:
        by_name: dict[str, list[str]] = {}
        for name, value in pairs:
            by_name.setdefault(name, []).append(value)
        return by_name

    ours, theirs = values(oracle), values(carrier)
    for name in dict.fromkeys([*ours, *theirs]):
        if ours.get(name) != theirs.get(name):
            yield Difference(f"{field}.{name}", ours.get(name, MISSING), theirs.get(name, MISSING))
    both = {name for name in ours if ours[name] == theirs.get(name)}

    def order(pairs: Pairs) -> list[str]:
        return [name for name, value in pairs if name in both and not (name == "date" and value == "<date>")]

    if order(oracle) != order(carrier):
        yield Difference(f"{field}.order", order(oracle), order(carrier))
