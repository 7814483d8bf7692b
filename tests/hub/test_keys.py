"""Keys and tokens: made, checked, expired, revoked, kept in a file, and shared by two servers of one user."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sqlite3
import threading
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.hub.keys import (
    ISSUER,
    PROVIDER,
    VISITOR,
    InvalidKey,
    Key,
    KeyRing,
    MemoryKeyStore,
    SQLiteKeyStore,
    is_ours,
)
from tests.waiting import turns


def now(work: Awaitable[Any]) -> Any:
    async def done() -> Any:
        return await work

    return asyncio.run(done())


def mint(ring: KeyRing, *services: str, lifetime: float = 60.0) -> tuple[str, Key]:
    made: tuple[str, Key] = now(ring.mint(services or ("cat",), lifetime, label="a label", created_by="user:ada"))
    return made


@pytest.fixture
def ring() -> KeyRing:
    return KeyRing(MemoryKeyStore())


def signed(store: MemoryKeyStore, **claims: object) -> str:
    given = {"iss": ISSUER, "aud": VISITOR, "jti": "0" * 16, "exp": time.time() + 60, "svc": ["cat"]}
    return jwt.encode({k: v for k, v in (given | claims).items() if v is not None}, store.secret(), "HS256")


def test_a_key_opens_what_it_was_made_for(ring: KeyRing) -> None:
    token, made = mint(ring, "cat", "dog")
    key = ring.verify(token)
    assert key.id == made.id
    assert key.services == ("cat", "dog")


def test_what_is_listed_is_not_the_key(ring: KeyRing) -> None:
    token, made = mint(ring)
    ring.verify(token)
    listed = ring.list()[0].public()
    assert listed["id"] == made.id
    assert listed["created_by"] == "user:ada"
    assert listed["label"] == "a label"
    assert listed["last_used"] == pytest.approx(time.time(), abs=30)
    assert token not in json.dumps(listed)
    assert token.rsplit(".", 1)[1] not in json.dumps(listed)


def test_a_key_ends_with_its_time_even_when_it_was_seen_before(ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    token, key = mint(ring, lifetime=60)
    ring.verify(token)
    monkeypatch.setattr(time, "time", lambda: key.expires + 1)
    with pytest.raises(InvalidKey, match="expired"):
        ring.verify(token)
    assert is_ours(token.encode()), "an expired key is still a credential of ours"
    assert ring.list() == []


def test_a_revoked_key_is_refused_at_once(ring: KeyRing) -> None:
    token, key = mint(ring)
    ring.verify(token)
    assert now(ring.revoke(key.id)).revoked
    with pytest.raises(InvalidKey, match="revoked"):
        ring.verify(token)
    assert ring.list()[0].revoked
    assert now(ring.revoke("no-such-key")) is None


def test_forged_and_foreign_tokens_are_refused() -> None:
    store = MemoryKeyStore()
    ring = KeyRing(store)
    token, key = mint(ring)
    head, claims, signature = token.split(".")
    wider = {"iss": ISSUER, "aud": VISITOR, "jti": key.id, "svc": ["dog"], "exp": 2**40}
    rewritten = base64.urlsafe_b64encode(json.dumps(wider).encode()).decode().rstrip("=")
    for bad in (
        jwt.encode(wider, None, "none"),
        jwt.encode(wider, "another secret of thirty-two bytes", "HS256"),
        jwt.encode(wider, store.secret() * 2, "HS512"),
        signed(store, aud=PROVIDER, jti=key.id),
        signed(store, iss="another", jti=key.id),
        signed(store, jti=None),
        signed(store, exp=None, jti=key.id),
        signed(store, exp=time.time() - 1, jti=key.id),
        signed(store, jti="ffffffffffffffff"),
        ring.mint_provider("kernel"),
        f"{head}.{rewritten}.{signature}",
        f"{head}.{claims}.{signature[:-4]}AAAA",
        f"{head}.{claims}.",
        f"{head}.{claims}",
        "",
        "..",
        "garbage",
        "日本語",
    ):
        with pytest.raises(InvalidKey):
            ring.verify(bad)
    assert ring.verify(token).id == key.id


def test_a_token_whose_json_is_nested_too_deep_is_only_invalid(ring: KeyRing) -> None:
    deep = base64.urlsafe_b64encode(b"[" * 100_000).decode()
    for bad in (f"{deep}.{deep}.AAAA", f"{base64.urlsafe_b64encode(b'{}').decode()}.{deep}.AAAA"):
        with pytest.raises(InvalidKey):
            ring.verify(bad)
        with pytest.raises(InvalidKey):
            ring.verify_provider(bad)


@given(st.one_of(st.text(max_size=80), st.lists(st.text(max_size=20), min_size=3, max_size=3).map(".".join)))
def test_any_text_is_a_key_or_invalid(text: str) -> None:
    with pytest.raises(InvalidKey):
        _RING.verify(text)
    with pytest.raises(InvalidKey):
        _RING.verify_provider(text)


_RING = KeyRing(MemoryKeyStore())


def test_a_kernels_token_says_its_kernel_and_is_no_key(ring: KeyRing) -> None:
    token = ring.mint_provider("kernel-1")
    assert ring.verify_provider(token).kernel_id == "kernel-1"
    key, _ = mint(ring)
    with pytest.raises(InvalidKey):
        ring.verify_provider(key)
    with pytest.raises(InvalidKey):
        KeyRing(MemoryKeyStore()).verify_provider(token)


def test_what_is_ours_is_known_whatever_became_of_it(ring: KeyRing) -> None:
    token, _ = mint(ring)
    assert is_ours(token.encode())
    assert is_ours(ring.mint_provider("k").encode())
    assert not is_ours(jwt.encode({"iss": "https://accounts.example", "sub": "ada"}, "s" * 32).encode())
    assert not is_ours(jwt.encode({"iss": "portico-of-athens", "sub": "ada"}, "s" * 32).encode())
    assert not is_ours(b"sk-proj-abc.def.ghi")


# --- kept in a file ---------------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "portico" / "keys.sqlite3"


def test_keys_outlive_the_server(path: Path) -> None:
    store = SQLiteKeyStore(path)
    ring = KeyRing(store)
    kept, key = mint(ring)
    revoked, other = mint(ring)
    now(ring.revoke(other.id))
    provider = ring.mint_provider("kernel-1")
    ring.verify(kept)
    now(ring.synchronize())
    store.close()

    again_store = SQLiteKeyStore(path)
    again = KeyRing(again_store)
    assert again.verify(kept).id == key.id
    assert again.verify_provider(provider).kernel_id == "kernel-1"
    with pytest.raises(InvalidKey, match="revoked"):
        again.verify(revoked)
    assert {found.id: found.last_used is not None for found in again.list()}[key.id]
    again_store.close()


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_the_file_is_its_owners_alone(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.touch(mode=0o644)
    SQLiteKeyStore(path).close()
    assert path.stat().st_mode & 0o777 == 0o600
    fresh = path.parent / "deeper" / "keys.sqlite3"
    SQLiteKeyStore(fresh).close()
    assert fresh.stat().st_mode & 0o777 == 0o600
    assert fresh.parent.stat().st_mode & 0o777 == 0o700


def test_the_keys_themselves_are_not_in_the_file(path: Path) -> None:
    store = SQLiteKeyStore(path)
    token, _ = mint(KeyRing(store))
    store.close()
    assert token.rsplit(".", 1)[1].encode() not in path.read_bytes()


def test_two_servers_share_one_file(path: Path) -> None:
    left_store, right_store = SQLiteKeyStore(path), SQLiteKeyStore(path)
    left, right = KeyRing(left_store), KeyRing(right_store)
    token, key = mint(left)
    now(right.synchronize())
    assert right.verify(token).id == key.id
    now(right.revoke(key.id))
    with pytest.raises(InvalidKey):
        right.verify(token)
    now(left.synchronize())
    with pytest.raises(InvalidKey, match="revoked"):
        left.verify(token)
    for store in (left_store, right_store):
        store.close()


class SlowToLoad(SQLiteKeyStore):
    """Has read the rows, and hands them over only when told."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.read = threading.Event()
        self.go_on = threading.Event()
        self.slow = False

    def load(self) -> list[Key]:
        rows = super().load()
        if self.slow:
            self.read.set()
            assert self.go_on.wait(10)
        return rows


def test_what_is_minted_and_revoked_while_the_store_is_read_is_not_lost(path: Path) -> None:
    store, other_store = SlowToLoad(path), SQLiteKeyStore(path)
    ring, other = KeyRing(store), KeyRing(other_store)
    old, old_key = mint(ring)
    mint(other)  # so that there is something to read
    store.slow = True

    async def at_once() -> str:
        reading = asyncio.create_task(ring.synchronize())
        assert await asyncio.to_thread(store.read.wait, 10)
        revoking = asyncio.create_task(ring.revoke(old_key.id))
        minting = asyncio.create_task(ring.mint(("cat",), 60))
        await turns()
        store.go_on.set()
        await asyncio.gather(reading, revoking)
        return (await minting)[0]

    fresh = now(at_once())
    with pytest.raises(InvalidKey, match="revoked"):
        ring.verify(old)
    ring.verify(fresh)
    store.close()
    other_store.close()


def test_what_has_expired_is_forgotten(ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    _, key = mint(ring, lifetime=60)
    assert ring.held_by("user:ada") == 1
    monkeypatch.setattr(time, "time", lambda: key.expires + 1)
    assert ring.held_by("user:ada") == 0
    now(ring.synchronize())
    assert now(ring.revoke(key.id)) is None


def test_what_expired_a_month_ago_leaves_the_file(path: Path) -> None:
    store = SQLiteKeyStore(path)
    long_ago = time.time() - 40 * 86400
    store.save(Key(id="1", services=("cat",), label="", created=long_ago, expires=long_ago + 1, created_by="user:ada"))
    assert store.load() == []
    store.close()
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT count(*) FROM keys").fetchone() == (0,)
    database.close()
