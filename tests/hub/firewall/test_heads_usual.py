"""Usual heads are looked at by shorter ways, which come to the same as the long ones."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.hub.answers import Answer
from portico.hub.firewall import queries
from portico.hub.firewall.heads import MOST_FIELDS, SMALL, check_head
from portico.hub.firewall.queries import clean_query
from portico.hub.firewall.spellings import Secrets
from portico.types import Headers
from tests.security.disguises import spellings

TOKEN = "3f1c0de5a9b7284610fe3f1c0de5a9b7284610fe00aa11bb"
WEAK = "mysecret99"
SECRETS = Secrets([TOKEN.encode(), WEAK.encode()], lasting=True)

_PIECES = [
    *(text.encode() for text in spellings(TOKEN).values()),
    *(text.encode() for text in spellings(WEAK).values()),
    b"a", b"=", b"&", b";", b"%", b"\\", b"token", b"%74oken", b"tok\\x65n", b"_xsrf", b"%5fxsrf", b"portico_key",
    b"2|", b"2%7c", b"MnwxOjB8", b"%u0074oken", b"+", b"page=3",
]  # fmt: skip


def drop(name: bytes, value: bytes) -> bool:
    return name in (b"token", b"portico_key", b"_xsrf")


@given(st.one_of(st.binary(max_size=60), st.lists(st.sampled_from(_PIECES), max_size=8).map(b"".join)))
def test_a_query_that_is_not_looked_into_has_nothing_in_it(query: bytes) -> None:
    quick = clean_query(query, drop, SECRETS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queries, "_WORTH_A_LOOK", re.compile(b""))
        assert quick == clean_query(query, drop, SECRETS)


@given(
    st.binary(max_size=200),
    st.lists(
        st.tuples(st.sampled_from([b"cookie", b"referer", b"connection", b"x"]), st.binary(max_size=40)), max_size=70
    ),
)
def test_a_small_head_of_few_fields_is_never_refused(target: bytes, headers: Headers) -> None:
    """So an edge that knows the size of a head need not have it added up."""
    assert len(headers) <= MOST_FIELDS
    assert len(target) + sum(len(value) for _, value in headers) <= SMALL
    check_head(target, headers)


@pytest.mark.parametrize("piece", [b"a=1;", b"%41", b"\\", b"close,", b"&%"])
def test_nor_is_the_worst_of_that_size(piece: bytes) -> None:
    value = piece * (SMALL // len(piece))
    for name in (b"cookie", b"referer", b"connection", b"x"):
        check_head(b"", [(name, value)])
    check_head(value, [])
    with pytest.raises(Answer):
        check_head(b"", [(b"x", b"")] * (MOST_FIELDS + 1))
