"""Provider tokens: what each opens, and every way in which one that is not right is refused."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.errors import InvalidOption
from portico.hub.keys import InvalidKey, KeyRing, is_ours
from portico.relay.people.tokens import Grant, TokenRing, covers, read_scopes
from portico.relay.store import RelayStore
from portico.relay.workspace_keys import WorkspaceKeys
from tests.transports.recorder import run


async def opened(store: RelayStore) -> TokenRing:
    return await asyncio.to_thread(TokenRing, store)


async def minted(ring: TokenRing, *scopes: str, lifetime: float = 60, workspace: str = "alice") -> tuple[str, Grant]:
    return await ring.mint(user_id="alice", workspace=workspace, scopes=scopes or ["publish:cat*"], lifetime=lifetime)


def refused(ring: TokenRing, token: str) -> str:
    with pytest.raises(InvalidKey) as raised:
        ring.verify(token)
    return str(raised.value)


def test_a_token_says_who_where_and_what() -> None:
    async def inside() -> None:
        store = await asyncio.to_thread(RelayStore)
        ring = await opened(store)
        token, grant = await ring.mint(
            user_id="alice", workspace="team", scopes="publish:cat* consume:dog", lifetime=60, label="laptop"
        )
        assert is_ours(token.encode()), "so that no app ever sees it"
        claims = jwt.decode(token, options={"verify_signature": False})
        assert (claims["sub"], claims["ws"], claims["scope"]) == ("alice", "team", "publish:cat* consume:dog")
        assert ring.verify(token) == grant == (await opened(store)).verify(token), "after a restart as well"
        assert grant.may_publish("cat")
        assert grant.may_publish("cat-2")
        assert not grant.may_publish("dog")
        assert grant.has("consume:dog")
        assert not grant.has("consume:*")
        assert not grant.has("keys")
        principal = grant.principal()
        assert principal.id == "user:alice"
        assert principal.publishes == ("cat*",)
        assert not principal.manages
        assert not ring.list(workspace="alice")
        assert ring.list(workspace="team", user_id="alice") == [grant]
        assert len(grant.token_id) >= 32, "128 random bits"

    run(inside)


def claims_of(token: str) -> dict[str, Any]:
    return dict(jwt.decode(token, options={"verify_signature": False}))


def unsigned(claims: dict[str, Any], algorithm: str) -> str:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part(claims)}."


def test_what_is_forged_is_refused() -> None:
    async def inside() -> None:
        store = await asyncio.to_thread(RelayStore)
        ring = await opened(store)
        token, _ = await minted(ring)
        claims, secret = claims_of(token), await asyncio.to_thread(store.secret)
        head, body, signature = token.split(".")
        changed = base64.urlsafe_b64encode(json.dumps(claims | {"ws": "bob"}).encode()).decode().rstrip("=")
        for forged in (
            unsigned(claims, "none"),
            unsigned(claims, "None"),
            unsigned(claims, "HS256"),
            f"{head}.{changed}.{signature}",
            f"{head}.{body}.",
            jwt.encode(claims, b"x" * 32, algorithm="HS256"),
            jwt.encode(claims, secret * 2, algorithm="HS512"),
            jwt.encode(claims | {"aud": "portico:visitor:alice"}, secret, algorithm="HS256"),
            jwt.encode(claims | {"iss": "someone"}, secret, algorithm="HS256"),
            jwt.encode({key: claims[key] for key in claims if key != "exp"}, secret, algorithm="HS256"),
            jwt.encode({key: claims[key] for key in claims if key != "aud"}, secret, algorithm="HS256"),
            jwt.encode(claims | {"jti": "another"}, secret, algorithm="HS256"),
            "",
            "a.b.c",
            "..",
            "é" * 40,
        ):
            refused(ring, forged)
        visitors = await asyncio.to_thread(KeyRing, WorkspaceKeys(store, "alice"), "alice")
        key, _ = await visitors.mint(["*"], 60)
        assert "no provider's token" in refused(ring, key)
        with pytest.raises(InvalidKey):
            visitors.verify(token)
        assert ring.verify(token)

    run(inside)


def test_what_a_token_opens_is_what_the_store_says_not_what_it_says_itself() -> None:
    async def inside() -> None:
        store = await asyncio.to_thread(RelayStore)
        ring = await opened(store)
        token, _ = await minted(ring, "publish:cat")
        wider = jwt.encode(
            claims_of(token) | {"scope": "admin", "ws": "bob"}, await asyncio.to_thread(store.secret), algorithm="HS256"
        )
        grant = ring.verify(wider)
        assert grant.scopes == ("publish:cat",)
        assert grant.workspace == "alice"

    run(inside)


def test_an_expired_token_is_refused_seen_before_or_not() -> None:
    async def inside() -> None:
        store = await asyncio.to_thread(RelayStore)
        ring = await opened(store)
        token, grant = await minted(ring, lifetime=60)
        assert ring.verify(token)
        ring._grants[grant.token_id] = Grant(
            token_id=grant.token_id, user_id="alice", workspace="alice", scopes=("keys",), expires=time.time() - 1
        )
        assert "expired" in refused(ring, token)
        gone = jwt.encode(
            claims_of(token) | {"exp": time.time() - 1}, await asyncio.to_thread(store.secret), algorithm="HS256"
        )
        assert "expired" in refused(ring, gone)

    run(inside)


def test_a_revoked_token_is_refused_at_once_and_listeners_hear_of_it_once() -> None:
    async def inside() -> None:
        store = await asyncio.to_thread(RelayStore)
        ring = await opened(store)
        token, grant = await minted(ring)
        heard: list[str] = []
        ring.listen(lambda revoked: heard.append(revoked.token_id))
        ring.verify(token)
        assert await ring.revoke("nowhere") is None
        revoked = await ring.revoke(grant.token_id)
        await ring.revoke(grant.token_id)
        assert revoked is not None
        assert revoked.revoked
        assert "revoked" in refused(ring, token)
        assert "revoked" in refused(await opened(store), token)
        assert heard == [grant.token_id]

    run(inside)


def test_tokens_that_a_token_made_are_revoked_with_it() -> None:
    async def inside() -> None:
        store = await asyncio.to_thread(RelayStore)
        ring = await opened(store)
        other, _ = await minted(ring)
        made, grant = await minted(ring)
        first, tokens = grant.token_id, [made]
        for _ in range(3):
            made, grant = await ring.mint(
                user_id="alice", workspace="alice", scopes=["keys"], lifetime=60, parent=grant.token_id
            )
            tokens.append(made)
        assert len(ring.made_by(first)) == 3
        await ring.revoke(first)
        for token in tokens:
            assert "revoked" in refused(ring, token)
            assert "revoked" in refused(await opened(store), token)
        assert ring.verify(other)

    run(inside)


_CLI = """
import asyncio, sys
from portico.relay.store import RelayStore
from portico.relay.people.tokens import TokenRing
ring = TokenRing(RelayStore(sys.argv[1]))
async def main():
    for token_id in sys.argv[2:]:
        assert await ring.revoke(token_id)
    print((await ring.mint(user_id="bob", workspace="bob", scopes=["keys"], lifetime=60))[0], end="")
asyncio.run(main())
"""


def test_what_another_process_revokes_and_makes_is_known_here(tmp_path: Path) -> None:
    async def inside() -> None:
        path = tmp_path / "relay.sqlite3"
        ring = await opened(await asyncio.to_thread(RelayStore, path))
        token, grant = await minted(ring)
        kept, _ = await minted(ring)
        heard: list[str] = []
        ring.listen(lambda revoked: heard.append(revoked.token_id))
        command = [sys.executable, "-c", _CLI, str(path), grant.token_id]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=True, timeout=60)
        theirs = done.stdout.decode()
        refused(ring, theirs)
        assert (await ring.authenticate(theirs)).user_id == "bob", "a token that was made just now is looked for"
        await ring.synchronize()
        assert "revoked" in refused(ring, token)
        assert heard == [grant.token_id]
        assert ring.verify(kept)

    run(inside)


def test_a_token_whose_user_is_removed_is_refused() -> None:
    async def inside() -> None:
        store = await asyncio.to_thread(RelayStore)
        ring = await opened(store)
        token, _ = await minted(ring)
        await asyncio.to_thread(store.remove_user, "alice")
        await ring.reread()
        assert "revoked" in refused(ring, token)

    run(inside)


@pytest.mark.parametrize(
    ("held", "wanted", "is_covered"),
    [
        ("publish:*", "publish:cat", True),
        ("publish:*", "publish:cat*", True),
        ("publish:cat*", "publish:cat-2*", True),
        ("publish:cat*", "publish:*", False),
        ("publish:cat", "publish:cat*", False),
        ("publish:c?t", "publish:cat", True),
        ("publish:*t", "publish:ca*", False),
        ("publish:*", "consume:cat", False),
        ("consume:*", "consume:cat", True),
        ("publish:*", "keys", False),
        ("manage", "keys", False),
        ("keys", "manage", False),
        ("manage", "admin", False),
        ("admin", "publish:*", True),
        ("admin", "manage", True),
    ],
)
def test_nobody_gives_more_than_they_have(held: str, wanted: str, is_covered: bool) -> None:
    assert covers([held], wanted) is is_covered


_PATTERNS = st.text("ab*?", min_size=1, max_size=5)


@given(_PATTERNS, _PATTERNS, st.text("ab", min_size=1, max_size=5))
def test_a_pattern_that_is_covered_lets_through_no_name_that_the_other_does_not(
    held: str, wanted: str, name: str
) -> None:
    def grant(pattern: str) -> Grant:
        return Grant(token_id="", user_id="", workspace="", scopes=(f"publish:{pattern}",), expires=0)

    if covers([f"publish:{held}"], f"publish:{wanted}") and grant(wanted).may_publish(name):
        assert grant(held).may_publish(name)


@pytest.mark.parametrize(
    "scopes", ["", "publish:", "publish:[a]", "publish:Cat", "everything", "keys:x", "a" * 99, [7]]
)
def test_no_scopes(scopes: Any) -> None:
    with pytest.raises(InvalidOption):
        read_scopes(scopes)


def test_scopes_are_told_once() -> None:
    assert read_scopes("keys publish:* keys") == ("keys", "publish:*")
