"""Adapters of other packages: when each is asked, and what becomes of those that do what they may not."""

from __future__ import annotations

import importlib
import logging
import re
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from fastapi import APIRouter, FastAPI, Query

import portico
from portico.adapters import others
from portico.adapters.looking import modules_of
from portico.adapters.take import take
from portico.errors import InvalidOption, NotServable
from portico.models import chat_server
from tests.adapters.packages import ADAPTER, LIBRARY, lay

CLAIM = 'return hasattr(type(thing), "text") or hasattr(thing, "text")'
NEVER = ADAPTER.replace(CLAIM, "return False")
BOARDS = {"boards/__init__.py": LIBRARY, "boards/shared/__init__.py": LIBRARY, "boards_portico.py": ADAPTER}
HOW = "Board, by boards-portico"


def boards(site: Path, adapter: str = ADAPTER, value: str = "boards_portico", name: str = "boards") -> Any:
    """Install boards with that *adapter*, and give its module."""
    lay(site, "boards-portico", {name: value}, {**BOARDS, "boards_portico.py": adapter})
    return importlib.import_module("boards")


def refused(thing: Any) -> str:
    with pytest.raises(NotServable) as raised:
        take(thing)
    return str(raised.value)


# --- who is asked -------------------------------------------------------------------------------------------------


def test_an_object_is_taken_by_the_adapter_for_its_module(site: Path) -> None:
    taken = take(boards(site).Board())
    assert (taken.kind, taken.how) == ("board", HOW)
    assert taken.tools.names == ("add",)
    assert taken.tools.definitions == {"add": {"type": "object"}}
    assert list(taken.capabilities) == [{"type": "board"}]


def test_so_are_its_kin(site: Path) -> None:
    """Of a notebook's own subclass, a class, a function, and of a module below the one that is declared."""
    library = boards(site)
    mine = type("Mine", (library.Special,), {"__module__": "__main__"})
    deep = importlib.import_module("boards.shared").Board()
    for thing in (library.Special(), mine(), deep):
        assert take(thing).kind == "board"
    library.Board.text = library.make.text = "a class"
    for thing in (library.Board, mine, library.make):
        assert take(thing).kind == "board"


def test_a_module_of_a_package_can_be_declared(site: Path) -> None:
    library = boards(site, name="boards.shared")
    assert take(importlib.import_module("boards.shared").Board()).kind == "board"
    assert "is no app" in refused(library.Board())
    assert "boards_portico" in sys.modules


def test_it_is_imported_when_such_an_object_is_served_and_once(site: Path) -> None:
    library = boards(site, "import builtins\nbuiltins.boards_imported += 1\n" + ADAPTER)
    builtins: Any = importlib.import_module("builtins")
    builtins.boards_imported = 0
    try:
        for other in (FastAPI(), 42, object()):
            take(other) if isinstance(other, FastAPI) else refused(other)
        assert builtins.boards_imported == 0
        for _ in range(3):
            take(library.Board())
        assert builtins.boards_imported == 1
    finally:
        del builtins.boards_imported


def test_metadata_is_not_read_for_what_is_plainly_ours(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    entries = others._entries
    monkeypatch.setattr(others, "_entries", lambda: reads.append(1) or entries())
    library = boards(site)

    @portico.model("cat")
    def cat(messages: Any) -> str:
        return "meow"

    for plain in (FastAPI(), cat, [cat], {"a": cat}, chat_server(cat), APIRouter()):
        take(plain)
    assert reads == []
    take(library.Board())
    take(library.Board())
    assert len(reads) == 1


def test_what_is_installed_meanwhile_is_found(site: Path) -> None:
    lay(site, "boards", "", {"boards/__init__.py": LIBRARY})
    board = importlib.import_module("boards").Board()
    assert "is no app" in refused(board)
    lay(site, "boards-portico", {"boards": "boards_portico"}, {"boards_portico.py": ADAPTER})
    assert take(board).kind == "board"
    for file in (site / "boards_portico-1.0.dist-info").iterdir():
        file.unlink()
    (site / "boards_portico-1.0.dist-info").rmdir()
    assert "is no app" in refused(board)


def test_several_modules_have_one_adapter_by_several_entries(site: Path) -> None:
    adapter = "import builtins\nclass Both:\n    def __init__(self):\n        builtins.made.append(self)\n"
    adapter += "    def claims(self, thing):\n        return True\n    def take(self, thing, options):\n"
    adapter += "        import portico.adapters\n        async def app(scope, receive, send): ...\n"
    adapter += "        return portico.adapters.Taken(app, how=type(thing).__module__)\n"
    builtins: Any = importlib.import_module("builtins")
    builtins.made = []
    try:
        files = {"boards/__init__.py": LIBRARY, "more_boards.py": LIBRARY, "boards_portico.py": adapter}
        value = "boards_portico:Both"
        lay(site, "boards-portico", {"boards": value, "more_boards": value}, files)
        assert take(importlib.import_module("boards").Board()).how == "boards"
        assert take(importlib.import_module("more_boards").Board()).how == "more_boards"
        assert len(builtins.made) == 1
    finally:
        del builtins.made


def test_a_collection_of_a_librarys_own_is_not_a_dict_of_functions(site: Path) -> None:
    library = boards(site, GREEDY)
    shelf = type("Shelf", (library.Board, dict), {"__module__": "boards"})()
    shelf["f"] = library.make
    assert take(shelf).kind == "board"
    assert take({"f": library.make}).kind == "functions"
    mine = type("Mine", (dict,), {"__module__": "__main__"})(f=library.make)
    assert take(mine).kind == "functions"


# --- what nobody else may claim -----------------------------------------------------------------------------------

GREEDY = ADAPTER.replace(CLAIM, "return True").replace("thing.text.encode()", "b'greedy'")


def test_an_adapter_that_claims_everything_is_offered_its_own_alone(site: Path) -> None:
    library = boards(site, GREEDY)
    assert take(library.Board()).kind == "board"
    assert take(FastAPI()).kind == "app"
    assert "is no app" in refused(42)

    class App(library.Board):  # type: ignore[misc, name-defined]
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...

    assert take(App()).how == "App, an ASGI app"


@pytest.mark.parametrize("name", ["builtins", "__main__", "portico", "portico.models", "starlette", "fastapi"])
def test_what_is_everybodys_cannot_be_claimed(site: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    lay(site, f"greedy-{name.strip('_').replace('.', '-')}", {name: "greedy_portico"}, {"greedy_portico.py": GREEDY})
    mine = type("Mine", (), {"__module__": "__main__"})()
    for _ in range(2):
        for thing in (
            42,
            [],
            {},
            mine,
            object(),
            FastAPI,
            int,
            Query(),
        ):
            assert "What can be served" in refused(thing)
    assert take(FastAPI()).kind == take(APIRouter()).kind == "app"
    assert "greedy_portico" not in sys.modules
    said = [record.getMessage() for record in caplog.records if f"is for {name!r}" in record.getMessage()]
    assert len(said) == 1
    assert said[0].endswith("which is a module whose objects no adapter may claim. It is skipped.")


@pytest.mark.parametrize("name", ["my-boards", "boards:Board", "1boards", "boards.", "a b"])
def test_an_entry_whose_name_is_no_module_is_said_and_skipped(
    site: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    lay(site, "odd", f"[portico.adapters]\n{name} = boards_portico\nboards = boards_portico\n", BOARDS)
    assert take(importlib.import_module("boards").Board()).kind == "board"
    assert f"is for {name!r}, which is not the name of a module" in caplog.text


class Named:
    """It says that it is of another module, as its class does not."""

    __module__ = "__main__"

    def __getattr__(self, name: str) -> Any:
        return "boards" if name == "__module__" else self

    @property
    def __class__(self) -> Any:
        return importlib.import_module("boards").Board

    @__class__.setter
    def __class__(self, value: Any) -> None: ...


def test_an_object_is_what_its_type_says(site: Path) -> None:
    library = boards(site, GREEDY)
    for liar in (Named(), MagicMock(spec=library.Board), MagicMock()):
        assert "What can be served" in refused(liar)
    assert "boards_portico" not in sys.modules
    odd = type("Odd", (), {"__module__": ["boards"]})()
    assert "What can be served" in refused(odd)
    assert modules_of(odd) == ["builtins"]


# --- the order ----------------------------------------------------------------------------------------------------


def both(site: Path) -> Any:
    """Two packages claim the objects of boards; a third claims those of a library that derives from it."""
    lay(site, "zebra", {"boards": "zebra_portico"}, {"zebra_portico.py": GREEDY})
    lay(site, "antelope", {"boards": "antelope_portico"}, {"antelope_portico.py": GREEDY})
    derived = "import boards\nclass Tall(boards.Board): ...\n"
    lay(site, "tall", {"tall": "tall_portico"}, {"tall.py": derived, "tall_portico.py": GREEDY, **BOARDS})
    return importlib.import_module("boards")


def test_of_two_the_first_by_name_takes_it_and_the_log_says_so(site: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert take(both(site).Board()).how == "Board, by antelope"
    assert (
        "an object of type Board is claimed by the adapter antelope_portico of antelope, and by the adapter "
        "zebra_portico of zebra; the first is asked first"
    ) in caplog.text


def test_the_adapter_for_the_nearest_class_comes_first(site: Path) -> None:
    both(site)
    assert take(importlib.import_module("tall").Tall()).how == "Tall, by tall"


def test_the_longer_module_comes_first(site: Path) -> None:
    both(site)
    lay(site, "zoo", {"boards.shared": "zoo_portico"}, {"zoo_portico.py": GREEDY})
    assert take(importlib.import_module("boards.shared").Board()).how == "Board, by zoo"


def test_one_that_does_not_claim_leaves_it_to_the_next(site: Path) -> None:
    library = both(site)
    (site / "antelope_portico.py").write_text(NEVER)
    assert take(library.Board()).how == "Board, by zebra"


# --- those that do what they may not ------------------------------------------------------------------------------

WRONG: dict[str, tuple[str, str]] = {
    "import": (
        "import no_such_module",
        "^.*The adapter boards_portico of boards-portico failed when it was imported: M",
    ),
    "syntax": ("def claims(", "failed when it was imported: .*SyntaxError"),
    "exit": ("raise SystemExit('over')", "failed when it was imported: SystemExit: over"),
    "nothing": ("claims = 1", "is wrong: it has no claims and no take to call"),
    "no take": ("def claims(thing): return True", "it has no take to call"),
    "raises": (
        "def claims(thing): raise RuntimeError('claims')\ntake = 1 and claims",
        "failed when it was asked .*RuntimeError: claims",
    ),
    "exits": (
        "def claims(thing): raise SystemExit\ndef take(t, o): ...",
        "failed when it was asked whether it claims the object: SystemExit",
    ),
    "is cancelled": (
        "import asyncio\ndef claims(thing): raise asyncio.CancelledError\ndef take(t, o): ...",
        "failed when it was asked .*CancelledError",
    ),
    "recursion": (
        "def claims(thing): return claims(thing)\ndef take(t, o): ...",
        "failed when it was asked .*RecursionError",
    ),
    "signature": ("def claims(): return True\ndef take(t, o): ...", "failed when it was asked .*TypeError"),
    "coroutine": (
        "async def claims(thing): return True\ndef take(t, o): ...",
        "gave an object of type coroutine, ",
    ),
    "truthy": (
        "def claims(thing): return 'yes'\ndef take(t, o): ...",
        "gave an object of type str, ",
    ),
    "none": ("def claims(thing): ...\ndef take(t, o): ...", "claims gave nothing, and not True or False"),
    "take raises": (
        "def claims(t): return True\ndef take(t, o): 1 / 0",
        "failed when it was to take .*ZeroDivisionError",
    ),
    "take imports": (
        "def claims(t): return True\ndef take(t, o): import nowhere",
        "failed when it was to take .*nowhere",
    ),
    "take exits": (
        "def claims(t): return True\ndef take(t, o): raise SystemExit",
        "failed when it was to take .*SystemExit",
    ),
    "take gives none": (
        "def claims(t): return True\ndef take(t, o): ...",
        "gave nothing, and not a portico",
    ),
    "take gives an app": (
        "import fastapi\ndef claims(t): return True\ndef take(t, o): return fastapi.FastAPI()",
        "take gave an object of type FastAPI, and not a portico.adapters.Taken",
    ),
    "take is async": (
        "def claims(t): return True\nasync def take(t, o): ...",
        "take gave an object of type coroutine, and not",
    ),
    "take signature": ("def claims(t): return True\ndef take(t): ...", "failed when it was to take .*TypeError"),
}
OFFERS = {
    "Taken(42)": "an object of type int is no ASGI or WSGI app",
    "Taken(app, kind='x' * 21)": "kind is a word of at most 20 characters",
    "Taken(app, kind='')": "its kind is empty",
    "Taken(app, kind=None)": "kind is a word",
    "Taken(app, models='cat')": "models is a list of ids",
    "Taken(app, models=[1])": "models is a list of ids",
    "Taken(app, tools=['add'])": "tools is a portico.adapters.ToolList",
    "Taken(app, tools=ToolList(('a',)))": "the digest of tools",
    "Taken(app, tools=ToolList.of({'a': object()}))": "failed when it was to take .*are not JSON",
    "Taken(app, tools=ToolList(('a',), '1', {'a': object()}))": "are not JSON",
    "Taken(app, capabilities={'gpus': 2})": "a capability is an object of attributes",
    "Taken(app, capabilities=7)": "when what it gave was looked at: TypeError",
    "Taken(app, capabilities=(1 / 0 for _ in [1]))": "when what it gave was looked at: ZeroDivisionError",
    "Taken(app, capabilities=[{'gpus': None}])": "the attribute 'gpus' is neither",
    "Taken(app, remarks='one')": "remarks is a list",
    "Taken(app, how='two\\nlines')": "how is a text of at most 200 characters, on one line",
    "Taken(app, how=7)": "how is a text",
}
WRONG |= {
    offer: (
        "from portico.adapters import Taken, ToolList\nasync def app(scope, receive, send): ...\n"
        f"def claims(t): return True\ndef take(t, o): return {offer}",
        says,
    )
    for offer, says in OFFERS.items()
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_an_adapter_does_wrong_is_said_and_the_next_one_takes_it(
    site: Path, wrong: str, caplog: pytest.LogCaptureFixture
) -> None:
    adapter, says = WRONG[wrong]
    board = boards(site, adapter).Board()
    assert re.search(says, refused(board)), refused(board)
    [line] = {record.getMessage() for record in caplog.records if record.levelno == logging.WARNING}
    assert re.search(says, line)
    assert line.endswith("It is skipped.")
    lay(site, "zebra", {"boards": "zebra_portico"}, {"zebra_portico.py": GREEDY})
    assert take(board).how == "Board, by zebra"


def test_the_traceback_is_in_the_log(site: Path, caplog: pytest.LogCaptureFixture) -> None:
    refused(boards(site, WRONG["take raises"][0]).Board())
    assert "1 / 0" in caplog.text


def test_what_an_adapter_says_to_the_author_reaches_them(site: Path) -> None:
    said = "from portico.errors import NotServable, InvalidOption\ndef claims(t): return True\n"
    library = boards(site, said + "def take(t, o): raise NotServable('this board has no columns')")
    assert refused(library.Board()) == "this board has no columns"
    (site / "boards_portico.py").write_text(said + "def take(t, o): raise InvalidOption('this one takes no mount')")
    del sys.modules["boards_portico"]
    with pytest.raises(InvalidOption, match="takes no mount"):
        take(library.Board())


def test_an_import_that_failed_is_tried_again(site: Path) -> None:
    board = boards(site, "import boards_need\n" + ADAPTER).Board()
    assert "boards_need" in refused(board)
    (site / "boards_need.py").write_text("")
    importlib.invalidate_caches()
    assert take(board).kind == "board"


@pytest.mark.parametrize(
    "claims",
    [
        "while True:\n        pass",
        "return thing.endless",
        "return any(False for _ in iter(int, 1))",
        "try:\n        while True: thing = thing.inner\n    except Exception:\n        return True",
    ],
    ids=["loop", "property", "generator", "walk"],
)
def test_one_that_has_no_end_is_ended(site: Path, claims: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(others, "ANSWERS_WITHIN", 0.2)
    library = boards(site, f"def claims(thing):\n    {claims}\ndef take(t, o): ...\n")

    class Endless(library.Board):  # type: ignore[misc]
        @property
        def inner(self) -> Any:
            return self

        @property
        def endless(self) -> bool:
            while True:
                pass

    begun, tracing = time.monotonic(), sys.gettrace()
    assert "did not say within 0.2 s whether it claims the object" in refused(Endless())
    assert time.monotonic() - begun < 10
    assert sys.gettrace() is tracing


def test_the_users_interrupt_is_theirs(site: Path) -> None:
    board = boards(site, "def claims(thing): raise KeyboardInterrupt\ndef take(t, o): ...\n").Board()
    with pytest.raises(KeyboardInterrupt):
        take(board)


def test_metadata_of_a_package_that_cannot_be_read_hides_no_other(site: Path) -> None:
    lay(site, "aaa-broken", "[portico.adapters]\nthis is no entry\n[[[\n", {})
    assert take(boards(site).Board()).kind == "board"


def test_what_is_installed_is_named_where_nothing_takes_a_thing(site: Path) -> None:
    library = boards(site, NEVER)
    assert "What can be served: what boards-portico adds (objects of boards), a function" in refused(library.Board())
    assert "or what boards-portico adds (objects of boards)." in refused(42)
