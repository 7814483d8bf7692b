"""Arguments from JSON, forms and queries; files are spooled and bounded, and removed after the call."""

# ruff: noqa: B006 -- so people write defaults, and the functions here change none

import asyncio
import enum
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel
from starlette.datastructures import UploadFile

from portico.functions import request
from portico.functions.mark import tool
from tests.functions.visiting import BOUNDARY, form, get, post, run, server


def send(app: Any, *parts: Any, path: str = "/run", **headers: str) -> Any:
    body, kind = form(*parts)
    return run(app, path, body, headers={**kind, **headers})


async def read(file: UploadFile, note: str = "") -> dict[str, Any]:
    return {"name": file.filename, "type": file.content_type, "text": (await file.read()).decode(), "note": note}


# --- forms ----------------------------------------------------------------------------------------------------------


def test_a_file_and_its_text():
    answer = send(server(read), ("file", "a.txt", b"hello", "text/plain"), ("note", "hé"))
    assert answer.json == {"result": {"name": "a.txt", "type": "text/plain", "text": "hello", "note": "hé"}}


def test_bytes_and_paths_and_several():
    def names(one: bytes, path: Path, many: list[Path]) -> list[Any]:
        return [len(one), path.name, path.read_text(), [(each.name, each.read_text()) for each in many]]

    files = [("one", "1", b"123"), ("path", "../../p.txt", b"p"), ("many", "a", b"A"), ("many", "a", b"B")]
    assert send(server(names), *files).json == {"result": [3, "p.txt", "p", [["a", "A"], ["a", "B"]]]}
    assert send(server(names), *files[:3]).json["result"][3] == [["a", "A"]]


def test_a_table_and_an_array_are_one_file_each():
    numpy = pytest.importorskip("numpy")
    pandas = pytest.importorskip("pandas")

    def sizes(table: pandas.DataFrame, array: numpy.ndarray, more: list[pandas.DataFrame] = []) -> Any:
        return [list(table.shape), list(array.shape), [list(each.shape) for each in more]]

    stored = io.BytesIO()
    numpy.save(stored, numpy.zeros((2, 5)))
    csv = ("a.csv", b"x,y\n1,2\n3,4\n", "text/csv")
    files = [("table", *csv), ("array", "a.npy", stored.getvalue())]
    assert send(server(sizes), *files).json == {"result": [[2, 2], [2, 5], []]}
    assert send(server(sizes), *files, ("more", *csv)).json == {"result": [[2, 2], [2, 5], [[2, 2]]]}
    text = [("table", '[{"x": 1}]'), ("array", "[[1, 2]]")]
    assert send(server(sizes), *text).json == {"result": [[1, 1], [1, 2], []]}


def test_files_are_there_during_the_stream_and_gone_after_it():
    paths = []

    def lines(path: Path) -> Iterator[str]:
        paths.append(path)
        yield from path.read_text().split()

    answer = send(server(lines), ("path", "a.txt", b"a b c"))
    assert answer.frames == [b"a", b"b", b"c"]
    assert not paths[0].exists()
    assert not paths[0].parent.parent.exists()


def test_files_are_gone_after_a_failure():
    paths = []

    def fail(path: Path) -> None:
        paths.append(path)
        raise ValueError

    assert send(server(fail, on_error=lambda error: None), ("path", "a.txt", b"a")).status == 500
    assert not paths[0].exists()


def test_a_file_can_come_as_json():
    answer = run(server(read), body={"file": "aGVsbG8=", "note": "x"})
    assert answer.json["result"]["text"] == "hello"


def test_a_field_where_nothing_was_chosen_is_not_given():
    def has(file: UploadFile | None = None) -> bool:
        return file is not None

    assert send(server(has), ("file", "", b"")).json == {"result": False}
    assert send(server(has), ("file", "", b"a")).json == {"result": True}
    assert send(server(read), ("file", "", b"")).json["detail"][0]["loc"] == ["body", "file"]


class Color(enum.Enum):
    red = 1


class Point(BaseModel):
    x: float


@tool(get=True)
def echo(
    number: int = 0,
    text: str = "",
    flag: bool = False,
    names: list[str] = [],
    numbers: list[int] = [],
    points: list[Point] = [],
    point: Point | None = None,
    either: int | str = 0,
    maybe: str | None = None,
    choice: Literal["a", 1] = "a",
    color: Color = Color.red,
    table: dict[str, int] = {},
    anything: Any = None,
    file: bytes = b"",
) -> dict[str, Any]:
    return {name: value for name, value in locals().items() if name != "file"}


TEXTS = [
    ("number", ["3"], 3),
    ("text", ["3"], "3"),
    ("text", ['"a"'], '"a"'),
    ("text", [""], ""),
    ("flag", ["true"], True),
    ("flag", ["0"], False),
    ("names", ["a"], ["a"]),
    ("names", ["a", "b"], ["a", "b"]),
    ("names", ['["a", "b"]'], ["a", "b"]),
    ("numbers", ["1", "2"], [1, 2]),
    ("numbers", ["[1, 2]"], [1, 2]),
    ("numbers", ["[]"], []),
    ("points", ['{"x": 1}', '{"x": 2}'], [{"x": 1.0}, {"x": 2.0}]),
    ("point", ['{"x": 1}'], {"x": 1.0}),
    ("point", ["null"], None),
    ("point", [""], None),
    ("either", ["a"], "a"),
    ("maybe", ["null"], "null"),
    ("choice", ["a"], "a"),
    ("color", ["1"], 1),
    ("table", ['{"a": 1}'], {"a": 1}),
    ("anything", ["[1]"], [1]),
    ("anything", ["three"], "three"),
]


@pytest.mark.parametrize(("name", "texts", "value"), TEXTS)
def test_text_stands_for_what_the_parameter_takes(name, texts, value):
    from urllib.parse import quote

    app = server(echo)
    by_form = send(app, *[(name, text) for text in texts])
    assert by_form.json["result"][name] == value
    by_query = get(app, "/run?" + "&".join(f"{name}={quote(text)}" for text in texts))
    assert by_query.json["result"][name] == value


def test_wrong_text_is_named():
    answer = send(server(echo), ("number", "x"), ("point", "{"), ("nothing", "1"))
    assert [one["loc"][1] for one in answer.json["detail"]] == ["number", "point", "nothing"]


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_form_of_another_site_runs_nothing(site):
    called = []

    def note(file: bytes = b"") -> None:
        called.append(file)

    answer = send(server(note), ("file", "a", b"a"), **{"sec-fetch-site": site})
    assert (answer.status, called) == (403, [])
    assert send(server(note), ("file", "a", b"a"), **{"sec-fetch-site": "same-origin"}).status == 200


@pytest.mark.parametrize("origin", ["http://elsewhere.example", "null", "http://here.example.evil", "http://evil:8888"])
def test_no_other_site_sends_a_form_to_a_host_that_browsers_do_not_trust(origin):
    """To plain http browsers send no Sec-Fetch-Site, but for localhost."""
    called = []

    def note(file: bytes = b"") -> None:
        called.append(file)

    host = {"host": "here.example:8888"}
    answer = send(server(note), ("file", "a", b"a"), origin=origin, **host)
    assert (answer.status, called) == (403, [])
    assert run(server(note), body=b"", headers={"content-type": "", "origin": origin, **host}).status == 403
    assert send(server(note), ("file", "a", b"a"), origin="http://here.example:8888", **host).status == 200
    assert send(server(note), ("file", "a", b"a"), origin="https://Here.example", host="here.example:443").status == 200


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", f"multipart/form-data; boundary={BOUNDARY}"),
        (b"nothing of a form", f"multipart/form-data; boundary={BOUNDARY}"),
        (form(("file", "a", b"a"))[0][:-8], f"multipart/form-data; boundary={BOUNDARY}"),
        (form(("file", "a", b"a"))[0], "multipart/form-data"),
        (form(("file", "a", b"a"))[0].replace(b' name="file";', b""), f"multipart/form-data; boundary={BOUNDARY}"),
        (form(("file", "a" * 5000, b"a"))[0], f"multipart/form-data; boundary={BOUNDARY}"),
        (form(("file", "a", b"a"))[0], "multipart/form-data; boundary="),
        (form(("file", "a", b"a"))[0], f"multipart/form-data; boundary={'x' * 1000}"),
    ],
)
def test_a_form_that_cannot_be_read(body, kind):
    answer = run(server(read), body=body, headers={"content-type": kind})
    assert answer.status == 400
    assert answer.json["detail"].startswith("The form cannot be read")


@pytest.mark.parametrize("charset", ["undefined", "punycode", "idna", "unicode_escape", "utf-7", "latin-1", "none"])
def test_a_form_is_utf_8_whatever_it_says(charset):
    def take(text: str, file: bytes = b"") -> str:
        return text

    body, headers = form(("text", "Ü-\\ud800 +2AA-"))
    headers = {"content-type": f"{headers['content-type']}; charset={charset}"}
    assert run(server(take), body=body, headers=headers).json == {"result": "Ü-\\ud800 +2AA-"}


def test_too_many_files_and_fields(monkeypatch: pytest.MonkeyPatch):
    def count(files: list[UploadFile], more: list[str] = []) -> int:
        return len(files)

    app = server(count)
    most = [("files", str(number), b"a") for number in range(request.MAX_FILES)]
    assert send(app, *most).json == {"result": 100}
    assert send(app, *most, ("files", "one more", b"a")).status == 400
    assert send(app, ("files", "a", b"a"), *[("more", "x")] * 1001).status == 400


def test_too_much_text_and_too_much_of_all(monkeypatch: pytest.MonkeyPatch):
    small = request.Intake(max_body=100, max_upload=1000, form=True)
    monkeypatch.setattr("portico.functions.run_route.intake_of", lambda typed: small)
    app = server(read)
    assert send(app, ("file", "a", b"x" * 500)).status == 200
    assert send(app, ("file", "a", b"x" * 1000)).status == 413
    assert send(app, ("file", "a", b"x"), ("note", "x" * 60), ("note", "x" * 60)).status == 413
    assert send(app, ("file", "a", b"x"), **{"content-length": "1001"}).status == 413


def test_a_compressed_form_is_refused():
    assert send(server(read), ("file", "a", b"x"), **{"content-encoding": "gzip"}).status == 415


def test_a_visitor_who_leaves_in_the_middle_leaves_nothing_behind():
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    body, kind = form(("file", "a", b"x" * 2**20))

    async def go() -> None:
        sent = []
        left = [
            {"type": "http.request", "body": body[: 2**20], "more_body": True},
            {"type": "http.disconnect"},
        ]

        async def receive() -> Any:
            return left.pop(0)

        async def send_(message: Any) -> None:
            sent.append(message)

        headers = [(name.encode(), value.encode()) for name, value in kind.items()]
        scope = {"type": "http", "method": "POST", "path": "/run", "headers": headers, "query_string": b""}
        await server(read)(scope, receive, send_)
        assert sent == []

    asyncio.run(go())
    if before:
        assert len(os.listdir("/proc/self/fd")) <= before


def test_large_files_are_on_a_disk_and_not_in_memory():
    from tempfile import SpooledTemporaryFile

    async def rolled(file: UploadFile) -> bool:
        spooled = file.file
        assert isinstance(spooled, SpooledTemporaryFile)
        return bool(spooled._rolled)  # type: ignore[attr-defined]

    assert send(server(rolled), ("file", "a", b"x" * (request.IN_MEMORY + 1))).json == {"result": True}
    assert send(server(rolled), ("file", "a", b"x")).json == {"result": False}


def test_a_form_comes_in_pieces_of_any_size():
    body, kind = form(("file", "a.txt", b"hello"), ("note", "x"))

    async def go(size: int) -> Any:
        pieces = [body[start : start + size] for start in range(0, len(body), size)]

        async def receive() -> Any:
            return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

        sent = []

        async def send_(message: Any) -> None:
            sent.append(message)

        headers = [(name.encode(), value.encode()) for name, value in kind.items()]
        scope = {"type": "http", "method": "POST", "path": "/run", "headers": headers, "query_string": b""}
        await server(read)(scope, receive, send_)
        return sent[0]["status"]

    for size in (1, 7, 64):
        assert asyncio.run(go(size)) == 200


def test_the_query_of_a_post_sets_nothing():
    async def go() -> Any:
        return await post(server(echo), "/run?number=3", {})

    assert asyncio.run(go()).json["result"]["number"] == 0
