"""What a pipeline and its files may be called: no name leads out of its folder on any system, or to another's file."""

from __future__ import annotations

import json
import os
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.errors import PipelineError
from portico.pipelines.deploying import names
from portico.pipelines.deploying.names import check_keys, check_name, encode_file
from portico.pipelines.server.deploy_requests import PipelineFilesRequest

NAMES_REFUSED = [
    "", ".", "..", "...", "a/b", "/a", "a/", "a\\b", "\\\\host\\share", "C:", "C:a", "a:stream", "a\0b", "a\nb", "\x7f",
    " a", "a ", "a.", "a\u3000", "a\x9b1m", "a\u202eb", "a\u2028b", "undeploy",
    ".hidden", ".portico", "__pycache__", "\ud800", "x" * 201, "é" * 101,
]  # fmt: skip
KEYS_REFUSED = [
    "", ".", "..", "../a.py", "a/../b.py", "a/..", "./a.py", "a/./b.py", "/etc/passwd", "a//b.py", "a/", "//host/a",
    "..\\a.py", "a\\b.py", "C:\\a.py", "C:/a.py", "C:a.py", "a.py:stream", "a\0.py", "a\r.py", "a ", "a /b", "a./b",
    "\udcff.py", "x" * 241, "a/" * 32 + "a.py", "/".join(["x" * 200] * 6),
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES_REFUSED, ids=ascii)
def test_a_name_that_is_not_one_plain_name_is_refused(name: str) -> None:
    with pytest.raises(PipelineError) as refused:
        check_name(name)
    assert refused.value.status == 422
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    "name", ["a", "chat_with_website", "My pipeline", "v1.2", "über", "東京", "a--b", "x" * 200, "con"]
)
def test_plain_names_are_taken(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("key", KEYS_REFUSED, ids=ascii)
def test_a_key_that_leads_elsewhere_is_refused(key: str) -> None:
    with pytest.raises(PipelineError) as refused:
        check_keys({"pipeline_wrapper.py": b"", key: b""})
    assert refused.value.status == 422
    assert len(str(refused.value)) < 400


def test_plain_keys_are_taken() -> None:
    check_keys(
        dict.fromkeys(["pipeline_wrapper.py", "data/a.bin", "data/b.bin", ".env", "..a", "a..b", "東京/x y.txt"], b"")
    )


@pytest.mark.parametrize(
    "keys",
    [
        ["a.py", "A.PY"],
        ["data/x", "Data/y"],
        ["straße.py", "STRASSE.py"],
        ["\u00e9.py", "e\u0301.py"],
        ["a", "a/b"],
        ["a/b/c", "A/B"],
    ],
)
def test_keys_that_are_one_file_on_some_systems_are_refused(keys: list[str]) -> None:
    for order in (keys, keys[::-1]):
        with pytest.raises(PipelineError, match="Rename one"):
            check_keys(dict.fromkeys(order, b""))


def test_files_are_bounded_in_number_and_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    check_keys({f"f{number}": b"" for number in range(1000)})
    with pytest.raises(PipelineError, match="1001 files are too many"):
        check_keys({f"f{number}": b"" for number in range(1001)})
    monkeypatch.setattr(names, "MOST_BYTES", 10)
    check_keys({"a": b"12345", "b": b"12345"})
    with pytest.raises(PipelineError, match="11 bytes together"):
        check_keys({"a": b"12345", "b": b"123456"})


@given(st.text())
def test_a_name_or_a_key_that_is_taken_stays_in_its_folder_on_every_system(text: str) -> None:
    for check in (check_name, lambda key: check_keys({key: b""})):
        try:
            check(text)
        except PipelineError:
            continue
        for pure in (PurePosixPath(text), PureWindowsPath(text)):
            assert not pure.is_absolute()
            assert not pure.drive
            assert ".." not in pure.parts
        assert os.path.normpath(text) == text


@given(st.binary())
def test_bytes_are_the_same_after_json(content: bytes) -> None:
    asked = {"name": "a", "files": {"pipeline_wrapper.py": "", "a": encode_file(content)}}
    read = PipelineFilesRequest.model_validate_json(json.dumps(asked))
    assert read.files["a"].encode() == content


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_text_stays_text_with_its_line_ends(text: str) -> None:
    assert encode_file(text.encode()) == text
