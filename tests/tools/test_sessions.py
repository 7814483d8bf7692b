"""Whose a session is, how long it lasts, and who has to go when there is no room."""

from __future__ import annotations

import pytest

from portico.tools import sessions as limits
from portico.tools.changes import Listener
from portico.tools.sessions import IDLE, ClientSession, ClientSessions, TooManySessions

ADA, BOB = '{"id":"ada"}', '{"id":"bob"}'


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> ClientSessions:
    monkeypatch.setattr(limits, "MAX_SESSIONS", 4)
    monkeypatch.setattr(limits, "MAX_SESSIONS_OF_CALLER", 3)
    return ClientSessions(clock)


def begun(sessions: ClientSessions, owner: str = ADA, address: str = "1.2.3.4") -> ClientSession:
    session = ClientSession(owner, f"{owner} {address}", "2025-11-25")
    sessions.add(session)
    return session


def test_a_session_is_its_owners_alone(sessions: ClientSessions) -> None:
    session = begun(sessions)
    assert sessions.get(session.id, ADA) is session
    assert sessions.get(session.id, BOB) is None
    assert sessions.get(session.id, "") is None


def test_ids_cannot_be_guessed(sessions: ClientSessions) -> None:
    ids = {begun(sessions).id for _ in range(3)}
    assert len(ids) == 3
    assert all(len(id) == 32 for id in ids)


def test_one_that_nobody_uses_ends(sessions: ClientSessions, clock: Clock) -> None:
    session = begun(sessions)
    clock.now = IDLE - 1
    assert sessions.get(session.id, ADA) is session
    clock.now = 2 * IDLE - 2  # it was used since
    assert sessions.get(session.id, ADA) is session
    clock.now = 4 * IDLE
    assert sessions.get(session.id, ADA) is None
    assert len(sessions) == 0


@pytest.mark.parametrize("use", ["a call", "a listener"])
def test_one_in_which_something_goes_on_stays(sessions: ClientSessions, clock: Clock, use: str) -> None:
    session = begun(sessions)
    if use == "a call":
        session.calls[1] = lambda: None
    else:
        session.listener = Listener()
    clock.now = 2 * IDLE
    begun(sessions, BOB)  # others that are idle for as long go now
    assert sessions.get(session.id, ADA) is session


def test_idle_ones_go_when_another_begins(sessions: ClientSessions, clock: Clock) -> None:
    begun(sessions)
    clock.now = IDLE + 1
    begun(sessions, BOB)
    assert len(sessions) == 1


def test_a_caller_with_too_many_loses_the_one_that_was_idle_for_longest(sessions: ClientSessions, clock: Clock) -> None:
    mine = []
    for clock.now in range(3):
        mine.append(begun(sessions))
    other = begun(sessions, BOB)
    clock.now = 10
    assert sessions.get(mine[0].id, ADA)  # used just now, so the second is the idlest
    newest = begun(sessions)
    left = [session for session in (*mine, newest, other) if sessions.get(session.id, session.owner)]
    assert left == [mine[0], mine[2], newest, other]


def test_who_has_most_pays_when_there_are_too_many(sessions: ClientSessions, clock: Clock) -> None:
    mine = []
    for clock.now in range(3):
        mine.append(begun(sessions))
    begun(sessions, BOB, "5.6.7.8")
    newest = begun(sessions, BOB, "9.9.9.9")
    assert sessions.get(mine[0].id, ADA) is None
    assert sessions.get(newest.id, BOB) is newest
    assert len(sessions) == 4


def test_where_all_are_in_use_no_other_begins(sessions: ClientSessions) -> None:
    for _ in range(3):
        begun(sessions).calls[1] = lambda: None
    with pytest.raises(TooManySessions, match="You have too many") as mine:
        begun(sessions)
    assert mine.value.of_caller
    begun(sessions, BOB).calls[1] = lambda: None
    with pytest.raises(TooManySessions, match="This server has too many") as all_of_them:
        begun(sessions, BOB, "5.6.7.8")
    assert not all_of_them.value.of_caller


def test_what_goes_on_ends_with_its_session(sessions: ClientSessions) -> None:
    session = begun(sessions)
    ended: list[int] = []
    for id in (1, 2):
        session.calls[id] = lambda id=id: ended.append(id)  # type: ignore[misc]
    sessions.remove(session)
    assert ended == [1, 2]
    assert sessions.get(session.id, ADA) is None
    sessions.remove(session)  # another request of it may say so, too
    assert len(sessions) == 0
