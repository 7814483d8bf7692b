"""What callers cannot set is given by annotation alone."""

from __future__ import annotations

import pytest

from portico.functions.given import User, user_of


@pytest.mark.parametrize(
    ("identity", "user"),
    [
        ({"access": "user", "user": {"id": "ada", "name": "Ada"}}, User("ada", "Ada", "user")),
        ({"access": "key", "key_id": "k1"}, User("k1", "", "key")),
        ({"access": "anonymous"}, User()),
        (None, User()),
        ({"access": "user"}, User()),
    ],
)
def test_who_calls(identity: dict[str, object] | None, user: User) -> None:
    assert user_of(identity) == user
