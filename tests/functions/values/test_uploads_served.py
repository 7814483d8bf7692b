"""Files and values through the whole server: over HTTP in, and in the form that is asked for out."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import httpx
import numpy as np
import pandas as pd
import pytest
import starlette.datastructures
from PIL import Image
from pydantic import AfterValidator

from tests.functions.visiting import server
from tests.models.conftest import Serve
from tests.waiting import eventually

paths: list[Path] = []
threads: list[int] = []


def note_thread(value: bytes) -> bytes:
    threads.append(threading.get_ident())
    return value


def keep(file: Path, times: int = 1) -> str:
    paths.append(file)
    return f"{file.name}:{file.read_text() * times}"


def pieces(file: Path) -> Iterator[str]:
    paths.append(file)
    for letter in file.read_text():
        assert file.exists()
        yield letter


def fails(file: Path) -> str:
    paths.append(file)
    raise ValueError("no")


def turned(image: Image.Image) -> Image.Image:
    return image.rotate(90, expand=True)


def doubled(table: pd.DataFrame) -> pd.DataFrame:
    return table * 2


def mean(points: np.ndarray) -> float:
    return float(points.mean())


def sizes(files: list[bytes], more: bytes | None = None) -> list[int]:
    return [len(each) for each in [*files, more or b""]]


async def named(upload: starlette.datastructures.UploadFile) -> str:
    return f"{upload.filename} {upload.content_type} {len(await upload.read())}"


def heavy(data: Annotated[bytes, AfterValidator(note_thread)]) -> int:
    return len(data)


def wrong() -> pd.DataFrame:
    return [1]  # type: ignore[return-value]


FUNCTIONS = (keep, pieces, fails, turned, doubled, mean, sizes, named, heavy, wrong)


@pytest.fixture
def errors() -> list[BaseException]:
    return []


@pytest.fixture
def client(serve: Serve, errors: list[BaseException]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=serve(server(*FUNCTIONS, on_error=errors.append))) as client:
        paths.clear()
        threads.clear()
        yield client


def result(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


def picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (3, 2), "red").save(file, "PNG")
    return file.getvalue()


def test_a_path_is_gone_after_the_call(client: httpx.Client) -> None:
    answer = client.post("/keep/run", files={"file": ("../a b.txt", b"hello")}, data={"times": "2"})
    assert result(answer) == "a b.txt:hellohello"
    assert result(client.post("/keep/run", json={"file": "aGVsbG8="})) == "file:hello"
    assert client.post("/fails/run", files={"file": b"x"}).status_code == 500
    assert len(paths) == 3
    eventually(lambda: not any(path.parents[1].exists() for path in paths))


def test_a_path_is_there_while_a_stream_goes_on_and_gone_after_it(client: httpx.Client) -> None:
    assert client.post("/pieces/run", files={"file": b"hello"}).text == "hello"
    events = client.post("/pieces/run", files={"file": b"hi"}, headers={"Accept": "text/event-stream"})
    assert "data: h\n" in events.text
    eventually(lambda: not any(path.parents[1].exists() for path in paths))


def test_a_path_of_the_machine_is_no_argument(client: httpx.Client) -> None:
    answer = client.post("/keep/run", json={"file": __file__})
    assert answer.status_code == 422
    (detail,) = answer.json()["detail"]
    assert detail["loc"] == ["body", "file"]
    assert "base64" in detail["msg"]
    assert paths == []


def test_an_image_goes_in_and_out(client: httpx.Client) -> None:
    answer = client.post("/turned/run", files={"image": ("a.png", picture())}, headers={"Accept": "image/png"})
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-security-policy"].startswith("sandbox")
    assert Image.open(io.BytesIO(answer.content)).size == (2, 3)
    assert result(client.post("/turned/run", files={"image": picture()})).startswith("data:image/png;base64,")
    refused = client.post("/turned/run", files={"image": b"no"})
    assert refused.status_code == 422
    assert refused.json()["detail"][0]["loc"] == ["body", "image"]


def test_a_table_goes_in_and_out(client: httpx.Client) -> None:
    csv = client.post("/doubled/run", files={"table": ("t.csv", b"a\n1\n2\n")}, headers={"Accept": "text/csv"})
    assert (csv.text, csv.headers["content-type"]) == ("a\r\n2\r\n4\r\n", "text/csv; charset=utf-8")
    assert result(client.post("/doubled/run", json={"table": [{"a": 1}]})) == [{"a": 2}]
    none = client.post("/doubled/run", json={"table": []}, headers={"Accept": "image/png"})
    assert none.status_code == 406
    assert "text/csv" in none.json()["detail"]


def test_an_array_goes_in(client: httpx.Client) -> None:
    file = io.BytesIO()
    np.save(file, np.arange(4))
    assert result(client.post("/mean/run", files={"points": file.getvalue()})) == 1.5
    assert result(client.post("/mean/run", json={"points": [[1, 2], [3, None]]})) is None  # a mean with NaN in it


def test_several_files_and_none(client: httpx.Client) -> None:
    two = [("files", ("a", b"12")), ("files", ("b", b"123"))]
    assert result(client.post("/sizes/run", files=two)) == [2, 3, 0]
    assert result(client.post("/sizes/run", files=[("files", ("a", b"12"))])) == [2, 0]
    assert result(client.post("/sizes/run", files=[*two, ("more", ("c", b"1"))])) == [2, 3, 1]


def test_an_upload_file(client: httpx.Client) -> None:
    assert (
        result(client.post("/named/run", files={"upload": ("a.txt", b"hello", "text/plain")})) == "a.txt text/plain 5"
    )


def test_what_takes_long_to_read_is_read_on_a_thread(client: httpx.Client) -> None:
    """The server's event loop reads what is small, and nothing that came as a file."""
    assert result(client.post("/heavy/run", json={"data": "aGVsbG8="})) == 5
    assert result(client.post("/heavy/run", files={"data": b"hello"})) == 5
    assert result(client.post("/heavy/run", json={"data": "A" * 2**20})) == 2**20 * 3 // 4
    loop, *others = threads
    assert len(others) == 2
    assert loop not in others


def test_a_result_of_another_type_is_told_to_the_author(client: httpx.Client, errors: list[BaseException]) -> None:
    answer = client.post("/wrong/run", json={})
    assert answer.status_code == 500
    assert "not what its annotation says" in answer.json()["detail"]
    assert [type(error).__name__ for error in errors] == ["UnusableOutput"]
