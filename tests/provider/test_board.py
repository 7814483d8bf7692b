"""What is where, and what comes back: the board alone, which asks nothing of hubs."""

from __future__ import annotations

from portico.provider.board import Board
from portico.provider.presence import Presence
from portico.provider.provider import Provider
from portico.provider.service import Service
from tests.provider.published import service


def hub(name: str) -> Presence:
    """Stands for a session: the board asks nothing of it."""
    return name  # type: ignore[return-value]


def placed(board: Board, session: Presence, name: str = "app") -> Service:
    one = service(Provider(), name)
    one.session = session
    board.put(one)
    return one


def test_a_name_on_a_hub_is_the_newest_publications() -> None:
    board, here = Board(), hub("here")
    first = placed(board, here)
    board.settle(first)
    second = placed(board, here)
    assert board.at(here, "app") == second
    assert (board.holds(first), board.holds(second)) == (False, True)
    assert board.settle(second) == [first]
    assert (list(board), board.all(), board.on(here)) == ([second], [second], [second])
    assert board.remove(second) is None
    assert (board.all(), board.services) == ([], {})


def test_what_was_in_the_place_is_back_when_the_newer_is_gone() -> None:
    board, here = Board(), hub("here")
    first, second = placed(board, here), placed(board, here)
    assert board.on(here) == [second, first], "the hub may have either"
    assert board.remove(second) == first
    assert (board.at(here, "app"), board.services, board.all()) == (first, {"app": first}, [first])


def test_one_that_moves_is_asked_at_its_old_hub_until_it_has_moved() -> None:
    board, here, there = Board(), hub("here"), hub("there")
    first, second = placed(board, here), placed(board, there)
    assert (board.at(here, "app"), board.at(there, "app")) == (first, second)
    assert board.services == {"app": second}
    assert board.settle(second) == [first]
    assert (board.at(here, "app"), board.at(there, "app")) == (None, second)


def test_one_that_went_from_the_middle_leaves_the_others_as_they_are() -> None:
    board, here = Board(), hub("here")
    first, second, third = placed(board, here), placed(board, here), placed(board, here)
    assert board.remove(second) is None
    assert board.at(here, "app") == third
    assert board.remove(third) == first
    assert board.at(here, "app") == first


def test_all_that_is_behind_comes_back_at_its_own_hub() -> None:
    board, here, there = Board(), hub("here"), hub("there")
    first, second, third = placed(board, here), placed(board, there), placed(board, here)
    assert board.remove(third) == second
    assert (board.at(here, "app"), board.at(there, "app")) == (first, second)
    assert board.remove(second) == first
    assert (board.at(here, "app"), board.at(there, "app")) == (first, None)


def test_other_names_and_other_hubs_have_nothing_to_do_with_it() -> None:
    board, here = Board(), hub("here")
    app, other = placed(board, here), placed(board, here, "other")
    assert board.remove(app) is None
    assert list(board) == [other]
