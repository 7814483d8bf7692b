"""`portico run` as a process: its start, what it says, its key, its processes, and its end."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.live_commands import Shell, last_words
from tests.live_jupyter import free_port
from tests.live_pipelines import YAML, LivePipelines, lay_wrapper, live_of, start_pipelines
from tests.waiting import eventually


@pytest.fixture
def two(shell: Shell) -> Path:
    """A folder with one pipeline that is right, and one that is not."""
    folder = shell.folder / "pipelines"
    folder.mkdir()
    (folder / "double.yml").write_text(YAML)
    (folder / "broken.yml").write_text("components: {}\n")
    return folder


def test_it_says_how_far_it_is_and_where_it_is(shell: Shell, two: Path) -> None:
    live = start_pipelines(shell)
    assert live.url == f"http://localhost:{live.port}"
    assert live.request("POST", "/double/run", json={"value": 2}).json() == {"result": {"add": {"result": 7}}}
    listed = live.portico("status").stdout
    assert "Could not be made ready, see the server's log: broken\n" in listed
    path = shell.folder / "state" / "portico" / "keys" / f"{live.port}.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert live.request("POST", "/undeploy/double").status_code == 401
    assert live.request("POST", "/undeploy/double", key=True).status_code == 200
    key = live.key
    said = live.end()
    assert re.search(r"^portico: \[\d/2\] double is up \(\d\.\d s\)$", said, re.MULTILINE)
    assert re.search(r"^portico: \[\d/2\] broken failed: YAML pipeline must declare", said, re.MULTILINE)
    assert re.search(r"^portico: 1 of 2 pipelines are up after \d+\.\d s; failed: broken$", said, re.MULTILINE)
    assert f"portico: deploying needs a key: the commands find it in {path}" in said
    assert key not in said
    assert not path.exists(), "the key ends with the server"


def test_settings_come_from_flags_the_environment_and_the_file(shell: Shell, two: Path) -> None:
    (shell.folder / ".env").write_text("HAYHOOKS_PIPELINES_DIR=nowhere\nPORTICO_API_KEY=of-the-file\nSOME_KEY=secret\n")
    live = start_pipelines(
        shell, "-h", "127.0.0.1", "-d", "pipelines", "-w", "1", HAYHOOKS_ROOT_PATH="/api", HAYHOOKS_CHAINLIT_PATH="/x"
    )
    assert live.url == f"http://127.0.0.1:{live.port}/api"
    assert not (shell.folder / "state").exists(), "a key that was given is left nowhere"
    said = live.end(signal.SIGTERM)
    assert "HAYHOOKS_CHAINLIT_PATH is set, which means nothing here" in said
    assert "deploying needs a key: the one that was given" in said
    assert "of-the-file" not in said


def test_without_a_key_it_says_so_aloud(shell: Shell) -> None:
    live = start_pipelines(shell, "--no-auth", "--host", "127.0.0.1")
    answer = live.request("POST", "/deploy-yaml", json={"name": "double", "source_code": YAML})
    assert answer.json() == {"name": "double", "success": True, "endpoint": "/double/run"}
    said = live.end()
    assert re.search(r"^portico: WARNING: no key is asked for .* may deploy, .*127\.0\.0\.1$", said, re.MULTILINE)
    assert f"no pipelines are in {shell.folder / 'pipelines'} yet, which does not exist. Deploy one: portico" in said


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_port_that_is_taken_is_said_in_one_line(shell: Shell, address: str) -> None:
    """Of either address that localhost has: the other program might be somebody else's."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as other:
        if address not in {found[4][0] for found in socket.getaddrinfo("localhost", 80)}:
            pytest.skip("localhost has no such address here")
        other.bind((address, 0))
        other.listen()
        port = other.getsockname()[1]
        said = shell.run("run", "--port", str(port), status=1).stderr
    assert said == (
        f"portico: cannot listen on localhost, port {port}: another program does. "
        f"End it, or take another port: --port {port + 1}\n"
    )


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("--host", "192.0.2.1"), 1, r"cannot listen on 192\.0\.2\.1, port 14\d+: .*--host"),
        (("--host", "no.such.host.invalid"), 1, r"cannot listen on no\.such\.host\.invalid"),
        (("--port", "http"), 2, r"--port: 'http' is no whole number from 0 to 65535"),
        (("--workers", "0"), 2, r"--workers: '0' is no whole number from 1"),
    ],
)
def test_what_is_wrong_is_one_line(shell: Shell, arguments: tuple[str, ...], status: int, said: str) -> None:
    done = shell.run("run", *arguments, status=status)
    assert re.fullmatch(rf"portico: {said}.*\n", done.stderr), done.stderr


def test_h_alone_shows_the_help(shell: Shell) -> None:
    """It is the host's, as Hayhooks has it."""
    assert "--pipelines-dir" in shell.run("run", "-h").stdout


def children(live: LivePipelines) -> list[psutil.Process]:
    """The processes that serve, besides the one that started them."""
    found = []
    for one in psutil.Process(live.process.pid).children():
        try:
            if "spawn_main" in " ".join(one.cmdline()):
                found.append(one)
        except psutil.Error:
            pass  # it ends just now
    return found


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_several_processes_serve_and_end_together(shell: Shell, two: Path) -> None:
    live = start_pipelines(shell, "--workers", "2", "--host", "127.0.0.1")
    assert len(children(live)) == 2
    assert live.request("POST", "/double/run", json={"value": 1}).status_code == 200
    dead = children(live)[0]
    dead.kill()
    eventually(lambda: len(children(live)) == 2 and dead not in children(live))
    eventually(lambda: "is replaced" in "".join(live.said))
    assert live.request("GET", "/status").status_code == 200
    served = children(live)
    said = live.end(signal.SIGTERM)
    assert not any(one.is_running() for one in served)
    assert len(re.findall(r"^portico: \[\d/2\] double is up", said, re.MULTILINE)) == 1, "the first one alone says it"


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_processes_end_with_the_one_that_started_them(shell: Shell) -> None:
    live = start_pipelines(shell, "--workers", "2", "--host", "127.0.0.1")
    served = children(live)
    os.kill(live.process.pid, signal.SIGKILL)
    eventually(lambda: not any(one.is_running() for one in served), 20)
    done = live.portico("status", "--host", "127.0.0.1", status=1)
    assert "not responding" in done.stderr


def test_a_file_in_the_place_of_the_folder(shell: Shell) -> None:
    (shell.folder / "pipelines").write_text("a file")
    done = shell.run("run", "--port", str(free_port()), status=2)
    assert done.stderr == "portico: --pipelines-dir: pipelines is no folder\n"


PROGRAM = """\
from portico.pipelines.program.app import create_app, run_app

app = create_app()

@app.get("/own")
def own():
    return {"of": "the program"}

if __name__ == "__main__":
    run_app(app, host="127.0.0.1", port=PORT)
    print("it goes on")
"""


def test_a_programs_own_app(shell: Shell) -> None:
    """By ``run_app``: with its own routes, the key that the commands find, and the same end."""
    port = free_port()
    (shell.folder / "program.py").write_text(PROGRAM.replace("PORT", str(port)))
    (shell.folder / ".env").write_text("HAYHOOKS_HOST=0.0.0.0\n")
    process = subprocess.Popen(
        [sys.executable, "program.py"],
        cwd=shell.folder,
        env=shell.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    shell.running.append(process)
    live = live_of(shell, process, port)
    assert live.url == f"http://127.0.0.1:{port}"
    assert live.request("GET", "/own").json() == {"of": "the program"}
    (shell.folder / "n.yml").write_text(YAML)
    live.portico("pipeline", "deploy-yaml", "n.yml")
    assert "run, tool" in live.portico("status").stdout
    live.end()
    assert process.stdout is not None
    assert process.stdout.read() == "it goes on\n"


SLOW = """\
def run_api(self) -> str:
    import time
    print("it runs", flush=True)
    time.sleep(60)
    return "late"
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_pipeline_that_does_not_end_keeps_nothing_up(shell: Shell) -> None:
    """Neither the server's end, nor an end that is asked for while a `setup` hangs."""
    lay_wrapper(shell.folder / "pipelines" / "slow", SLOW)
    live = start_pipelines(shell, "--graceful-shutdown-timeout", "0")
    caller = shell.start("pipeline", "run", "slow", "--port", str(live.port))
    assert live.process.stdout is not None
    assert live.process.stdout.readline() == "it runs\n"
    began = time.monotonic()
    said = live.end(signal.SIGTERM)
    assert time.monotonic() - began < 15
    assert "CancelledError" not in said
    caller.wait(20)
    assert caller.returncode == 1
    lay_wrapper(
        shell.folder / "hanging" / "slow", SLOW, before="import time\nprint('loads', flush=True)\ntime.sleep(60)\n"
    )
    process = shell.start("run", "--port", str(live.port), "-d", "hanging")
    assert process.stdout is not None
    assert process.stdout.readline() == "loads\n"
    process.send_signal(signal.SIGINT)
    _, said = last_words(process)
    assert process.returncode == 0
    assert said == ""
