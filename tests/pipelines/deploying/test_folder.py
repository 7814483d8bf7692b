"""The pipelines' folder: what is found in it, what is remembered of it, and what a deploy is to change."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from portico.errors import PipelineError, PipelineExists
from portico.pipelines.deploying.folder import PipelineRecord, PipelinesFolder
from tests.pipelines.deployed import lay, tree

BROKEN = [
    b"",
    b"[]",
    b"\xff",
    b"{}",
    b"null",
    b'{"kind": "yaml"',
    b"[" * 100_000,
    b'{"kind": "x"}',
    b'{"kind": "yaml", "files": []}',
    b'{"kind": "yaml", "settings": []}',
]

WRAPPER = PipelineRecord(kind="wrapper")


@pytest.fixture
def folder(tmp_path: Path) -> PipelinesFolder:
    return PipelinesFolder(tmp_path)


def test_what_is_found_is_in_the_order_of_names_and_a_folder_goes_before_a_yaml(
    folder: PipelinesFolder, caplog: pytest.LogCaptureFixture
) -> None:
    lay(folder.path, {"b.yml": b"", "a/pipeline_wrapper.py": b"", "a.yml": b"", "c.yaml": b"", "c.yml": b""})
    found = folder.found()
    assert [(each.name, each.kind, each.path.name) for each in found] == [
        ("a", "wrapper", "a"),
        ("b", "yaml", "b.yml"),
        ("c", "yaml", "c.yml"),
    ]
    assert "a.yml is passed over" in caplog.text
    assert [folder.find(name) for name in "abc"] == found
    assert folder.find("d") is None


def test_a_record_that_somebody_has_written_into_is_passed_over(
    folder: PipelinesFolder, caplog: pytest.LogCaptureFixture
) -> None:
    lay(folder.path, {"a.yml": b"x", "out.txt": b"mine", "a/x": b""})
    for broken in BROKEN:
        lay(folder.state, {"records/a.json": broken})
        assert not folder.found()[0].is_undeployed
        assert "cannot be read" in caplog.text
        caplog.clear()
    digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"  # of "test"
    lay(folder.path.parent, {"outside.txt": b"test"})
    lay(folder.path, {"b/x": b"test"})
    told = {"kind": "wrapper", "files": {"../outside.txt": digest, "b/x": digest, "a/../b/x": digest, "/x": digest}}
    lay(folder.state, {"records/a.json": json.dumps(told).encode()})
    changes = folder.wrapper_changes("a", {"pipeline_wrapper.py": b""}, WRAPPER, overwrite=True)
    assert sorted(changes) == [".portico/records/a.json", "a/pipeline_wrapper.py"], "nothing of others is taken away"


def test_a_file_in_the_way_of_a_folder_and_the_other_way_round_are_said(folder: PipelinesFolder) -> None:
    lay(folder.path, {"a/data": b"a file", "b/data/x": b"", "c": b"a file", "d.yml/x": b""})
    for name, key in [("b", "data"), ("c", "x")]:
        with pytest.raises(PipelineError, match=f"{name}.* is a f"):
            folder.wrapper_changes(name, {"pipeline_wrapper.py": b"", key: b"1"}, WRAPPER, overwrite=True)
    with pytest.raises(PipelineError, match="is a folder"):
        folder.yaml_changes("d", b"", PipelineRecord(kind="yaml"), overwrite=True)


def test_a_name_of_another_case_is_another_file_or_is_refused(folder: PipelinesFolder, tmp_path: Path) -> None:
    lay(folder.path, {"Chat/pipeline_wrapper.py": b"1"})
    if (tmp_path / "chat").exists():  # a system for which it is the same
        with pytest.raises(PipelineExists, match="takes for the same"):
            folder.wrapper_changes("chat", {"pipeline_wrapper.py": b"2"}, WRAPPER, overwrite=True)
    else:
        assert "chat/pipeline_wrapper.py" in folder.wrapper_changes(
            "chat", {"pipeline_wrapper.py": b"2"}, WRAPPER, overwrite=False
        )


def test_undeploying_writes_nothing_but_that_it_is(folder: PipelinesFolder) -> None:
    lay(folder.path, {"a.yml": b"x"})
    folder.write_undeployed("nothing of that name")
    assert not folder.state.exists()
    folder.write_undeployed("a")
    assert folder.found()[0].is_undeployed
    assert tree(folder.path) == {"a.yml": b"x"}
    logging.getLogger("portico.pipelines").info("kept")
    folder.mend()
    assert folder.found()[0].is_undeployed
