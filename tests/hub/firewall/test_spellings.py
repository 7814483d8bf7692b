"""A secret is found in every spelling, and nothing is taken for one that is none."""

from __future__ import annotations

import base64
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.hub.firewall.spellings import LEAST, MARKED, Secrets, basic_credentials, readings, secrets_of
from portico.hub.keys import KeyRing, MemoryKeyStore
from portico.types import Headers
from tests.security.disguises import carriers, spellings

KEY = KeyRing(MemoryKeyStore()).mint_provider("some-kernel")
TOKEN = "3f1c0de5a9b7284610fe3f1c0de5a9b7284610fe00aa11bb"
WEAK = "mysecret99"


def fields(*values: bytes) -> Headers:
    return [(b"user-agent", value) for value in values]


@pytest.mark.parametrize(("how", "text"), spellings(KEY).items(), ids=lambda value: value[:30])
def test_a_key_is_found_in_every_spelling(how: str, text: str) -> None:
    assert MARKED.within(text.encode())
    assert MARKED.among(fields(b"*/*", text.encode(), b"close"))


@pytest.mark.parametrize("secret", [TOKEN, WEAK, "with~tilde?and/slash-and_x"])
def test_a_servers_token_is_found_in_every_spelling(secret: str) -> None:
    secrets = Secrets([secret.encode()])
    for how, text in spellings(secret).items():
        assert secrets.within(text.encode()), how
        assert secrets.among(fields(b"*/*", text.encode())), how


_DISGUISED = [text.encode() for text in spellings(TOKEN).values()]
_VALUES = st.one_of(
    st.binary(max_size=80), st.sampled_from([*_DISGUISED, b"Mozilla/5.0 (X11; Linux x86_64) Firefox/140"])
)


@given(st.lists(st.lists(_VALUES, max_size=5), max_size=5))
def test_a_look_at_all_finds_what_a_look_at_each_does(requests: list[list[bytes]]) -> None:
    """Whatever was looked at before: what is remembered as harmless is."""
    lasting, fresh = Secrets([TOKEN.encode()], lasting=True), Secrets([TOKEN.encode()])
    for values in [*requests, *requests]:
        expected = any(fresh.within(value) for value in values)
        assert lasting.among(fields(*values)) is expected
        assert fresh.among(fields(*values)) is expected


def test_what_may_be_a_credential_is_not_remembered() -> None:
    secrets = Secrets([TOKEN.encode()], lasting=True)
    value = b"nobody's business " * 3
    assert not secrets.among(
        [(b"cookie", value), (b"authorization", value), (b"x-api-key", value), (b"accept", value[:-1])]
    )
    assert secrets._harmless is not None
    assert list(secrets._harmless) == [value[:-1]]


def test_a_short_token_is_found_as_a_word_alone() -> None:
    secrets = Secrets([b"password"])
    for text in (b"password", b"x=password", b'"password"', b"Token password"):
        assert secrets.within(text), text
    for text in (b"password-reset", b"passwords", b"my.password", b"no_password_here"):
        assert not secrets.within(text), text
    assert not Secrets([b"a" * (LEAST - 1)]).within(b"a" * LEAST), "too short to be told from words"


@given(st.binary(max_size=200))
def test_what_holds_no_secret_is_never_taken_for_one(text: bytes) -> None:
    """Bytes that no secret is in are not found to hold one, unless they are encoded deeper than anyone does."""
    assert not secrets_of(TOKEN.encode()).within(text) or None in readings(text)


@given(st.binary(max_size=40), st.binary(min_size=LEAST, max_size=60), st.binary(max_size=40))
def test_base64_of_anything_around_a_secret_is_found(before: bytes, secret: bytes, after: bytes) -> None:
    secrets = Secrets([secret])
    assert secrets.within(base64.b64encode(before + secret + after))
    assert secrets.within(base64.urlsafe_b64encode(before + secret + after).rstrip(b"="))


@pytest.mark.parametrize(
    ("value", "held"),
    [
        (b"Basic dTpw", b"u:p"),
        (b"basic   dTpw ", b"u:p"),
        (b"BASIC\tdTpw", b"u:p"),
        (b"Basic d T p w", b"u:p"),
        (b"Basic dXU6cA", b"uu:p"),
        (b"Basic dXU6cA=", b"uu:p"),
        (b"Basic -_8", b"\xfb\xff"),
        (b"Basic A", b""),
        (b"Bearer dTpw", None),
        (b"Basic", None),
        (b"", None),
    ],
)
def test_basic_is_read_as_leniently_as_anybody_would(value: bytes, held: bytes | None) -> None:
    assert basic_credentials(value) == held


@pytest.mark.parametrize(
    "text", [b"%25" * 20_000, b"%2525" * 12_000 + b"2e", b"%" * 60_000, b"\\" * 60_000, b"%25%32%35" * 6_000]
)
def test_no_text_takes_long(text: bytes) -> None:
    """Twice the text takes about twice the time, and 64 KiB of the worst far less than a tenth of a second."""
    began = time.process_time()
    MARKED.within(text)
    MARKED.among(fields(text, text))
    assert time.process_time() - began < 0.5


def test_more_layers_than_anyone_uses_are_refused() -> None:
    text = b"."
    for _ in range(9):
        text = b"".join(b"%%%02x" % byte for byte in text)
    assert None in readings(text)
    assert MARKED.within(text)


def test_the_carriers_of_the_tests_carry() -> None:
    assert len(list(carriers(KEY))) > 500
