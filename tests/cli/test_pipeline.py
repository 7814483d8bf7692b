"""`portico pipeline`: each command against a real server, as people type it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live_commands import Shell
from tests.live_pipelines import YAML, LivePipelines, lay_wrapper, running_pipelines

STREAM = """\
def run_api(self, words: str = "a b c", wait: float = 0.0, fail: bool = False) -> Iterator[str]:
    import time
    yield "first "
    time.sleep(wait)
    if fail:
        raise ValueError("in mid-stream")
    yield from (f"{word} é " for word in words.split())
"""

ECHO = """\
def run_api(self, text: str = "", number: int = 0, many: list[str] = [], more: dict | None = None) -> dict:
    return {"text": text, "number": number, "many": many, "more": more}
"""

FILES = """\
def run_api(self, files: list[UploadFile] | None = None, note: str = "", n: int = 1) -> str:
    found = [f"{one.filename}={len(one.file.read())}" for one in files or []]
    return f"{note} {n} {sorted(found)}"
"""

SETTINGS = """\
def run_api(self) -> str:
    return repr(self.settings)
"""


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePipelines]:
    folder = tmp_path_factory.mktemp("pipeline")
    lay_wrapper(folder / "pipelines" / "stream", STREAM, before="from collections.abc import Iterator\n")
    lay_wrapper(folder / "pipelines" / "echo", ECHO)
    lay_wrapper(folder / "pipelines" / "files", FILES, before="from fastapi import UploadFile\n")
    (folder / "pipelines" / "double.yml").write_text(YAML)
    with running_pipelines(folder) as live:
        yield live


# --- deploying ---------------------------------------------------------------------------------------------------


def test_a_yaml_file_is_deployed_run_and_undeployed(live: LivePipelines) -> None:
    (live.shell.folder / "twice.yml").write_text(YAML)
    said = live.portico("pipeline", "deploy-yaml", "twice.yml", "--description", "Doubles it").stdout
    assert said == f"Pipeline 'twice' successfully deployed! It is at {live.url}/twice/run\n"
    assert "Doubles it" in live.portico("status").stdout
    assert "already exists" in live.portico("pipeline", "deploy-yaml", "twice.yml", status=1).stderr
    assert "successfully" in live.portico("pipeline", "deploy-yaml", "-o", "--no-save-file", "twice.yml").stdout
    done = live.portico("pipeline", "run", "twice", "-p", "value=4")
    assert done.stdout == '{\n  "add": {\n    "result": 11\n  }\n}\n'
    assert "executed successfully" in done.stderr
    said = live.portico("pipeline", "undeploy", "twice").stdout
    assert said == "Pipeline 'twice' successfully undeployed!\n"
    assert live.portico("pipeline", "undeploy", "twice", status=1).stderr == "portico: Pipeline 'twice' not found\n"
    assert live.portico("pipeline", "run", "twice", status=1).stderr == "portico: Pipeline 'twice' not found\n"


def test_a_folder_is_deployed_with_its_settings(live: LivePipelines) -> None:
    folder = lay_wrapper(live.shell.folder / "configured", SETTINGS)
    source = (folder / "pipeline_wrapper.py").read_text()
    (folder / "pipeline_wrapper.py").write_text(source.replace("self.pipeline = None", "self.settings = settings"))
    (folder / "bytes.bin").write_bytes(b"\xff\x00")
    (folder / ".secret").write_text("")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "x.py").write_text("")
    given = ("--set", "model=gpt", "--set", "size=3", "--set", 'tags=["a"]')
    said = live.portico("pipeline", "deploy-files", "-n", "configured", *given, str(folder)).stdout
    assert "successfully deployed" in said
    assert live.portico("pipeline", "run", "configured").stdout == "{'model': 'gpt', 'size': 3, 'tags': ['a']}\n"
    saved = live.shell.folder / "pipelines" / "configured"
    assert sorted(path.name for path in saved.iterdir() if path.name != "__pycache__") == [
        "bytes.bin",
        "pipeline_wrapper.py",
    ]
    assert (saved / "bytes.bin").read_bytes() == b"\xff\x00"
    again = live.portico("pipeline", "deploy-files", "-n", "configured", str(folder), status=1)
    assert again.stderr == "portico: Pipeline 'configured' already exists. Replace it with --overwrite\n"
    live.portico("pipeline", "deploy-files", "--name=configured", "--overwrite", "-s", str(folder))
    assert live.portico("pipeline", "run", "configured").stdout == "{}\n"


def test_deploy_takes_either(live: LivePipelines) -> None:
    (live.shell.folder / "either.yaml").write_text(YAML)
    assert "Pipeline 'either' successfully deployed" in live.portico("pipeline", "deploy", "either.yaml").stdout
    folder = lay_wrapper(live.shell.folder / "some_folder", ECHO)
    said = live.portico("pipeline", "deploy", str(folder)).stdout
    assert "Pipeline 'some_folder' successfully deployed" in said


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("deploy-files", "x"), 2, "required: -n/--name"),
        (("deploy-files", "-n", "x"), 2, "required: folder"),
        (("deploy-files", "-n", "x", "nowhere"), 1, "portico: Directory nowhere does not exist"),
        (("deploy-files", "-n", "x", "a.yml"), 1, "portico: a.yml is not a directory"),
        (("deploy-files", "-n", "x", "."), 1, "portico: Missing required file: there is no pipeline_wrapper.py in ."),
        (("deploy-files", "-n", "x", "--set", "y", "."), 2, "portico: Invalid parameter 'y': --set takes key=value"),
        (("deploy-yaml", "nowhere.yml"), 1, "portico: File nowhere.yml does not exist"),
        (("deploy-yaml", "."), 1, "portico: . is not a file"),
        (("deploy-yaml", "a.yml", "-n", "../x"), 1, "portico: "),
        (("deploy-yaml", "latin.yml"), 1, "portico: latin.yml is no text in UTF-8"),
        (("deploy", "nowhere"), 1, "portico: Path nowhere does not exist"),
        (("undeploy", "nobody"), 1, "portico: Pipeline 'nobody' not found"),
        (("undeploy",), 2, "required: name"),
        (("run", "nobody"), 1, "portico: Pipeline 'nobody' not found"),
        (("run", "double", "-p", "value"), 2, "portico: Invalid parameter 'value': --param takes key=value"),
        (("run", "double", "-p", "=1"), 2, "portico: Invalid parameter '=1'"),
        (("run", "double", "-p", "value=x"), 1, "portico: value: "),
        (
            ("run", "double"),
            1,
            "portico: value: Field required\nParameters are given by -p NAME=VALUE, once for each\n",
        ),
        (("run", "echo", "-p", "many=x"), 1, "valid list\nLists and objects are given as JSON: -p 'urls=["),
        (("run", "double", "-f", "a.yml"), 1, "portico: Pipeline 'double' takes no files: run it without --file and"),
        (("run", "double", "-f", "nowhere"), 1, "portico: File nowhere does not exist"),
        (("run", "double", "-f", "."), 1, "portico: . is not a file"),
        (("run", "double", "-d", "nowhere"), 1, "portico: Directory nowhere does not exist"),
        (("run", "double", "-d", "a.yml"), 1, "portico: a.yml is not a directory"),
        ((), 2, "required: deploy-files | deploy-yaml"),
        (("explode",), 2, "invalid choice: 'explode'"),
    ],
)
def test_what_is_wrong_is_said(live: LivePipelines, arguments: tuple[str, ...], status: int, said: str) -> None:
    folder = live.shell.folder
    (folder / "a.yml").write_text(YAML)
    (folder / "latin.yml").write_bytes("# é".encode("latin-1"))
    done = live.portico("pipeline", *arguments, status=status)
    assert said in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_deploying_needs_the_key_and_reading_none(live: LivePipelines) -> None:
    (live.shell.folder / "keyed.yml").write_text(YAML)
    other = {"XDG_STATE_HOME": str(live.shell.folder / "nothing")}
    said = live.portico("pipeline", "deploy-yaml", "keyed.yml", status=1, **other).stderr
    assert "key" in said
    said = live.portico("pipeline", "deploy-yaml", "keyed.yml", status=1, PORTICO_API_KEY="wrong", **other).stderr
    assert "another key than the one that was sent" in said
    assert live.portico("pipeline", "run", "double", "-p", "value=1", **other).stdout
    live.portico("pipeline", "deploy-yaml", "keyed.yml", HAYHOOKS_API_KEY=live.key, **other)
    live.portico("pipeline", "undeploy", "keyed", "--api-key", live.key, **other)


@pytest.mark.skipif(sys.platform == "win32", reason="modes of files")
def test_a_key_that_others_could_have_left_is_not_sent(live: LivePipelines) -> None:
    folder = live.shell.folder / "state" / "portico" / "keys"
    folder.chmod(0o777)
    try:
        said = live.portico("pipeline", "undeploy", "double", status=1).stderr
    finally:
        folder.chmod(0o700)
    assert "The key was not found: " in said
    assert "others may write it" in said


# --- running -----------------------------------------------------------------------------------------------------


def test_values_are_json_where_they_are(live: LivePipelines) -> None:
    given = ("-p", 'many=["x", "y"]', "-p", 'more={"a": null}', "-p", "number=5", "-p", "text=a=b c")
    said = live.portico("pipeline", "run", "echo", *given).stdout
    assert json.loads(said) == {"text": "a=b c", "number": 5, "many": ["x", "y"], "more": {"a": None}}
    assert said.startswith('{\n  "text"'), "for people"
    for text in ("12345", "true", "null", "1e5", "[1]", "007", "NaN", "é"):
        said = live.portico("pipeline", "run", "echo", "--param", f"text={text}").stdout
        assert f'"text": "{text}"' in said, "a text is wanted, and nothing else"


def test_options_go_anywhere(live: LivePipelines) -> None:
    options = ("--host", "127.0.0.1", "--port", str(live.port))
    run = ("run", "double", "-p", "value=1")
    for arguments in (
        (*options, "pipeline", *run),
        ("pipeline", *options, *run),
        ("pipeline", *run, *options),
        (*options[:2], "pipeline", *run, *options[2:]),
        ("--port=1", "pipeline", *run, *options),
    ):
        assert '"result": 5' in live.shell.run(*arguments).stdout
    assert "not responding" in live.shell.run("--port", "1", "pipeline", *run, status=1).stderr
    assert "--port goes after login" in live.shell.run("--port", "1", "login", status=2).stderr
    said = live.shell.run("--use-https", *options, "pipeline", *run, status=1).stderr
    assert f"not responding at https://127.0.0.1:{live.port}" in said


def test_a_stream_is_printed_as_it_comes(live: LivePipelines) -> None:
    process = live.shell.start(
        "pipeline", "run", "stream", "-s", "-p", "wait=5", "--port", str(live.port), PYTHONUNBUFFERED=""
    )
    assert process.stdout is not None
    began = time.monotonic()
    assert process.stdout.read(6) == "first "
    assert time.monotonic() - began < 4, "the rest comes five seconds later"
    assert process.stdout.read() == "a é b é c é \n"
    process.wait(20)
    assert process.returncode == 0


def test_a_stream_that_breaks_off_is_a_failure(live: LivePipelines) -> None:
    done = live.portico("pipeline", "run", "stream", "--stream", "-p", "fail=true", status=1)
    assert done.stdout == "first \n"
    assert "failed in mid-stream" in done.stderr
    assert live.portico("pipeline", "run", "stream", "-p", "words=x").stdout == "first x é \n"
    assert "broke off" in live.portico("pipeline", "run", "stream", "-p", "fail=true", status=1).stderr


def test_files_are_sent_as_a_form(live: LivePipelines, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("12345")
    below = tmp_path / "dir"
    for name, size in (("b.bin", 3_000_000), ("deep/c.txt", 1), (".hidden", 1)):
        path = below / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\xff" * size)
    run = ("pipeline", "run", "files", "-p", "note=hi", "-p", "n=2")
    given = ("-f", str(tmp_path / "a.txt"), "-d", str(below))
    assert live.portico(*run, *given).stdout == "hi 2 ['a.txt=5', 'b.bin=3000000', 'deep/c.txt=1']\n"
    assert live.portico(*run).stdout == "hi 2 []\n", "a pipeline that takes files is run without them, too"
    assert live.portico("pipeline", "run", "files").stdout == " 1 []\n"
    assert "3000000" in live.portico(*run, *given, "-s").stdout, "streaming does not keep files from being sent"
    assert "n" in live.portico("pipeline", "run", "files", "-p", "n=x", *given, status=1).stderr


def test_output_that_nobody_reads_ends_quietly(live: LivePipelines) -> None:
    line = f"{sys.executable} -m portico pipeline run stream -s -p wait=1 --port {live.port} | head -c 3"
    done = subprocess.run(
        ["sh", "-c", line], cwd=live.shell.folder, env=live.shell.environment, capture_output=True, timeout=60
    )
    assert done.stdout == b"fir"
    assert b"Traceback" not in done.stderr


def test_the_commands_need_no_extra(shell: Shell) -> None:
    """They run where Portico alone is installed: neither FastAPI nor pydantic is imported, nor httpx."""
    program = (
        "import sys; from portico.cli import main\n"
        "status = main(['pipeline', 'run', 'x', '--port', '1'])\n"
        "print(status, sorted({'fastapi', 'pydantic', 'httpx', 'haystack', 'anyio', 'uvicorn'} & {*sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=shell.folder, env=shell.environment, capture_output=True, text=True
    )
    assert done.stdout == "1 []\n"
