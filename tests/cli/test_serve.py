"""`portico serve`: every command line of Hypha's serve utility, and what else it can."""

from __future__ import annotations

import re
import signal
import stat
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from tests.adapters.packages import ADAPTER, LIBRARY, lay
from tests.cli.conftest import Interrupt
from tests.cli.test_login import NOBODY
from tests.live_commands import Relay, Shell, last_words
from tests.live_jupyter import TOKEN, JupyterServer


def get(url: str, **options: object) -> httpx.Response:
    return httpx.get(url, trust_env=False, timeout=20, **options)  # type: ignore[arg-type]


def test_by_a_relay_with_a_token(shell: Shell, relay: Relay, interrupt: Interrupt) -> None:
    token = relay.token("--workspace", "my-workspace", "--publish", "cat*", "--expires", "30d")
    process, url = shell.serve(
        "myapp:app",
        "--id=cat",
        "--name=Cat",
        f"--server-url={relay.url}",
        "--workspace=my-workspace",
        f"--token={token}",
    )
    assert url == f"{relay.url}/my-workspace/apps/cat/"
    assert get(url).text == "<title>Cat</title>"
    assert get(url + "api/v1/test").json() == {"message": "Hello, it works!"}
    assert get(url + "docs").status_code == 200
    interrupt(process)
    assert get(url).status_code == 401, "Ctrl-C takes it down, and strangers are not told what there is"


def test_the_name_is_left_to_the_next_start(shell: Shell, relay: Relay, interrupt: Interrupt) -> None:
    arguments = ("myapp:app", "--id=stays", f"--server-url={relay.url}")
    token = relay.token()
    process, url = shell.serve(*arguments, PORTICO_TOKEN=token)
    process.send_signal(signal.SIGTERM)
    _, said = last_words(process)
    assert process.returncode == 0, said
    process, again = shell.serve(*arguments, PORTICO_TOKEN=token)
    assert again == url
    assert get(url).status_code == 200
    interrupt(process)


def test_a_name_that_is_held_is_said_in_one_line(shell: Shell, relay: Relay, interrupt: Interrupt) -> None:
    token = relay.token()
    arguments = ("serve", "myapp:app", "--id=held", f"--server-url={relay.url}")
    first, url = shell.serve(*arguments[1:], PORTICO_TOKEN=token)
    said = shell.run(*arguments, status=1, PORTICO_TOKEN=token).stderr
    assert re.fullmatch(r"portico: 'held' is held by .*--replace.*\n", said)
    second, _ = shell.serve(*arguments[1:], "--replace", PORTICO_TOKEN=token)
    _, said = last_words(first)
    assert first.returncode == 1
    assert "stopped at the hub" in said
    assert get(url).status_code == 200
    interrupt(second)


def test_by_a_relay_without_a_token(shell: Shell, relay: Relay, interrupt: Interrupt) -> None:
    process, url = shell.serve("myapp:app", f"--server-url={relay.url}")
    [workspace] = re.findall(r"/(anon-[a-z0-9]{25})/apps/myapp/$", url)
    assert len(set(workspace)) > 8
    assert get(url + "api/v1/test").status_code == 200
    interrupt(process)


def test_who_may_open_it(shell: Shell, relay: Relay, interrupt: Interrupt) -> None:
    token = relay.token("--scope", "keys", "--scope", "manage", "--publish", "*")
    process, url = shell.serve(
        "myapp:app", "--id=locked", "--access=key", f"--server-url={relay.url}", PORTICO_TOKEN=token
    )
    given = {"PORTICO_TOKEN": token, "PORTICO_RELAY": relay.url}
    assert get(url + "word").status_code == 401
    key = shell.run("keys", "create", "locked", "--expires", "1h", "--label", "Ada", **given).stdout.strip()
    assert get(url + "word", headers={"Authorization": f"Bearer {key}"}).json() == "none"
    listed = shell.run("keys", "list", **given).stdout
    [key_id] = re.findall(r"^(\w+)\s+locked\s+Ada", listed, re.MULTILINE)
    shell.run("keys", "revoke", key_id, **given)
    assert get(url + "word", headers={"Authorization": f"Bearer {key}"}).status_code == 401
    services = shell.run("services", **given).stdout
    assert re.search(rf"^locked\s+live\s+key\s+\d+\s+{re.escape(url)}$", services, re.MULTILINE), services
    shell.run("stop", "locked", **given)
    _, said = last_words(process)
    assert process.returncode == 1
    assert "stopped" in said


def test_conditions(shell: Shell, relay: Relay, interrupt: Interrupt) -> None:
    process, url = shell.serve(
        "myapp:app", "--id=guarded", f"--server-url={relay.url}", "--password=sesame", "--expires=1h", "--rate=60/min",
        PORTICO_TOKEN=relay.token(),
    )  # fmt: skip
    assert get(url + "word").status_code == 401
    assert get(url + "word", auth=("", "sesame")).json() == "none"
    interrupt(process)


@pytest.mark.parametrize("arguments", [(), ("--reload",)])
def test_without_a_server(shell: Shell, interrupt: Interrupt, arguments: tuple[str, ...]) -> None:
    process, url = shell.serve("myapp:app", "--port=0", *arguments)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/local/apps/myapp/", url)
    assert get(url).text == "<title>Cat</title>"
    interrupt(process)


@pytest.mark.parametrize("arguments", [(), ("--reload",)])
def test_what_another_packages_adapter_takes(shell: Shell, interrupt: Interrupt, arguments: tuple[str, ...]) -> None:
    site = shell.folder / "site"
    lay(site, "boards", {"boards": "boards_portico"}, {"boards.py": LIBRARY, "boards_portico.py": ADAPTER})
    (shell.folder / "my_board.py").write_text("import boards\nboard = boards.Board('todo, done')\nnothing = object()\n")
    process, url = shell.serve("my_board:board", "--port=0", *arguments, PYTHONPATH=str(site))
    assert get(url).text == "todo, done"
    interrupt(process)
    said = shell.run("serve", "my_board:nothing", "--port=0", status=1, PYTHONPATH=str(site)).stderr
    assert "What can be served: a function, " in said
    assert "or what boards adds (objects of boards)." in said


def test_without_a_server_and_not_for_everyone(shell: Shell) -> None:
    process, url = shell.serve("myapp:app", "--port=0", "--access=private")
    assert process.stderr is not None
    [link] = re.findall(r"http://\S+portico_key=\S+", process.stderr.readline())
    assert get(url).status_code == 401
    with httpx.Client(trust_env=False, follow_redirects=True) as browser:
        assert browser.get(link, headers={"Accept": "text/html"}).text == "<title>Cat</title>"


def test_started_anew_when_a_file_changes(shell: Shell, relay: Relay, interrupt: Interrupt) -> None:
    process, url = shell.serve("myapp:app", "--reload", f"--server-url={relay.url}")
    assert "/anon-" in url
    assert process.stderr is not None
    source = (shell.folder / "myapp.py").read_text()
    (shell.folder / "myapp.py").write_text("1/0")
    while "waiting for a change" not in process.stderr.readline():
        assert process.poll() is None
    (shell.folder / "myapp.py").write_text(source.replace("Hello, it works!", "Hello again"))
    assert "changed" in process.stderr.readline()
    assert get(url + "api/v1/test").json() == {"message": "Hello again"}, "visitors wait in between"
    interrupt(process)
    assert get(url).status_code != 200


def test_what_the_app_writes_itself_does_not_start_it_anew(shell: Shell, relay: Relay, interrupt: Interrupt) -> None:
    source = """
import logging, sqlite3
from fastapi import FastAPI

app = FastAPI()
logging.basicConfig(filename="app.log", level="INFO")

@app.get("/")
def write():
    with sqlite3.connect("app.sqlite3") as database:
        database.execute("create table if not exists visits (at)")
        database.execute("insert into visits values (1)")
    database.close()
    logging.info("visited")
    open("page.html", "w").write("written")
    return "WORD"
"""
    (shell.folder / "writing.py").write_text(source.replace("WORD", "before"))
    process, url = shell.serve("writing:app", "--reload", f"--server-url={relay.url}")
    assert process.stderr is not None
    for _ in range(3):
        assert get(url).json() == "before"
    assert (shell.folder / "app.sqlite3").exists()
    (shell.folder / "writing.py").write_text(source.replace("WORD", "after"))
    while "changed" not in (line := process.stderr.readline()):
        assert process.poll() is None
    assert "writing.py changed" in line
    assert get(url).json() == "after"
    interrupt(process)


def test_a_jupyter_server_is_a_hub_too(shell: Shell, jupyter_server: JupyterServer, interrupt: Interrupt) -> None:
    process, url = shell.serve("myapp:app", "--id=cli-cat", f"--server-url={jupyter_server.url}", f"--token={TOKEN}")
    assert get(url).text == "<title>Cat</title>"
    interrupt(process)


@pytest.mark.parametrize(
    ("arguments", "path", "answer"),
    [
        (("myapp:make", "--factory"), "word", b'"none"'),
        (("myapp:app", "--env-file", "cat.env"), "word", b'"miau"'),
        (("inner:app", "--app-dir", "below"), "word", b'"none"'),
        (("myapp:reply", "--chat"), "v1/models", None),
    ],
)
def test_how_the_app_is_found(
    shell: Shell, interrupt: Interrupt, arguments: tuple[str, ...], path: str, answer: bytes | None
) -> None:
    (shell.folder / "cat.env").write_text("CAT_WORD=miau\n")
    (shell.folder / "below").mkdir()
    (shell.folder / "below" / "inner.py").write_text((shell.folder / "myapp.py").read_text())
    process, url = shell.serve(*arguments, "--port=0")
    got = get(url + path)
    assert got.status_code == 200
    assert answer is None or got.content == answer
    interrupt(process)


TYPED = """\
import sqlite3

def predict(area: float, rooms: int = 2) -> float:
    return area * rooms

def explain(area: float) -> str:
    return "because"

def reply(messages):
    return "meow"

def unfit(db: sqlite3.Connection) -> int:
    return 1

class Flats:
    def predict(self, area: float) -> float:
        return area * 3

class Needs(Flats):
    def __init__(self, rate): ...

class Fails(Flats):
    def __init__(self):
        raise LookupError("no model file")

tools = [predict, explain]
named = {"price": predict}
flats = Flats()
mixed = [predict, reply]
"""


@pytest.mark.parametrize(
    ("target", "name", "path", "answer"),
    [
        ("predict", "predict", "run", {"result": 4.0}),
        ("tools", "tools", "predict/run", {"result": 4.0}),
        ("named", "named", "price/run", {"result": 4.0}),
        ("flats", "flats", "run", {"result": 6.0}),
        ("flats.predict", "predict", "run", {"result": 6.0}),
        ("Flats", "flats", "predict/run", {"result": 6.0}),
    ],
)
def test_functions(shell: Shell, interrupt: Interrupt, target: str, name: str, path: str, answer: object) -> None:
    (shell.folder / "typed.py").write_text(TYPED)
    process, url = shell.serve(f"typed:{target}", "--port=0")
    assert url.endswith(f"/apps/{name}/")
    assert process.stderr is not None
    lines = [process.stderr.readline() for _ in range(2)]
    assert any("a page with a form" in line and "mcp" in line for line in lines), lines
    assert httpx.post(url + path, json={"area": 2}, trust_env=False).json() == answer
    assert get(url + "docs").status_code == 200
    interrupt(process)


def test_functions_as_chat_models(shell: Shell, interrupt: Interrupt) -> None:
    """By an option, and by the name of the parameter, which is said."""
    (shell.folder / "typed.py").write_text(TYPED)
    process, url = shell.serve("typed:tools", "--chat", "--port=0")
    assert [model["id"] for model in get(url + "v1/models").json()["data"]] == ["predict", "explain"]
    interrupt(process)
    process, url = shell.serve("typed:reply", "--port=0")
    assert [model["id"] for model in get(url + "v1/models").json()["data"]] == ["reply"]
    assert "reply has the parameter messages, so it is served as a chat model" in interrupt(process)


PIPELINES = """\
import os
os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"
from haystack import Pipeline
from haystack.components.builders import PromptBuilder
from portico.pipelines import BasePipelineWrapper

pipe = Pipeline()
pipe.add_component("prompt", PromptBuilder("Hello {{ name }}", required_variables=["name"]))

class Greets(BasePipelineWrapper):
    def setup(self, word: str = "Hello") -> None:
        self.word = word

    def run_api(self, name: str) -> str:
        return f"{self.word} {name}"

    def run_chat_completion(self, model, messages, body):
        yield self.word

class Fails(Greets):
    def setup(self):
        raise LookupError("no model file")
"""


@pytest.mark.parametrize(
    ("arguments", "name", "sent", "answer"),
    [
        (["pipes:Greets", "--set", "word=Ahoy"], "greets", {"name": "me"}, "Ahoy me"),
        (
            ["pipes:pipe", "--inputs", "who:prompt.name", "--outputs", "said:prompt.prompt"],
            "pipe",
            {"who": "me"},
            {"said": "Hello me"},
        ),
    ],
)
def test_pipelines(
    shell: Shell, interrupt: Interrupt, arguments: list[str], name: str, sent: dict[str, str], answer: object
) -> None:
    (shell.folder / "pipes.py").write_text(PIPELINES)
    process, url = shell.serve(*arguments, "--port=0")
    assert url.endswith(f"/apps/{name}/")
    assert httpx.post(url + "run", json=sent, trust_env=False, timeout=30).json() == {"result": answer}
    models = get(url + "v1/models")
    assert models.status_code == 404 if name == "pipe" else [one["id"] for one in models.json()["data"]] == [name]
    assert "below it run, docs, mcp" in interrupt(process)


OWN = """\
def broken():
    raise ValueError("my own mistake")

broken()
"""

FAILING = """\
from contextlib import asynccontextmanager
from fastapi import FastAPI

@asynccontextmanager
async def lifespan(app):
    raise RuntimeError("no model file")
    yield

app = FastAPI(lifespan=lifespan)
"""


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("nothing:app",), 2, r"portico: there is no module 'nothing' in /.*\n"),
        (("myapp:nothing",), 2, r"portico: the module myapp has no 'nothing'; did you mean myapp:app\?\n"),
        (("myapp.py",), 2, r"portico: 'myapp.py' is a file: write it as a module, myapp:app\n"),
        (("typed:mixed",), 1, r"portico: predict is a function, and reply is a chat model .*--chat.*\n"),
        (("typed:Needs",), 1, r"portico: Needs is a class, and an object of it needs arguments \(rate\).*\n"),
        (("typed:Fails",), 1, r"portico: Fails is a class, .* failed: no model file\n.*typed.py.*: no model file\n"),
        (
            ("pipes:Fails",),
            1,
            r"portico: Failed to call setup\(\) on .*: no model file\n.*pipes.py.*: no model file\n",
        ),
        (("pipes:Greets", "--inputs=name:prompt.name"), 2, r"portico: Greets is a wrapper, .*--inputs.*\n"),
        (("typed:predict", "--set=a=1"), 2, r"portico: Inputs, outputs and settings .* are for pipelines; .*\n"),
        (("typed:predict", "--set=a"), 2, r"portico: --set a: write it as key=value, .*\n"),
        (("typed:unfit",), 1, r"portico: The parameter 'db' of unfit is annotated with sqlite3.Connection.*\n"),
        (("myapp:app", "--id=My App"), 2, r"portico: 'My App' cannot be a service name.*'my-app'\.\n"),
        (("myapp:app", "--expires=soon"), 2, r"portico: 'soon' is no duration.*\n"),
        (("myapp:app", "--workspace=x"), 2, r"portico: --workspace .*--server-url\n"),
        (("myapp:app", "--server-url=share"), 2, r"portico: 'share' is no hub's URL.*\n"),
        (("myapp:app", "--env-file=none.env"), 2, r"portico: --env-file: there is no file none.env\n"),
        (("own:app",), 1, r'portico: importing own failed\.\nFile "/.*/own.py", line 4, in .*: my own mistake\n'),
        (("failing:app", "--port=0"), 1, r"portico: the app's startup failed\.\n.*failing.py.*: no model file\n"),
        (("myapp:app", "--host=192.0.2.1"), 2, r"portico: 192.0.2.1:8000 cannot be listened on: .*\n"),
    ],
)  # fmt: skip
def test_what_does_not_work_is_said(shell: Shell, arguments: tuple[str, ...], status: int, said: str) -> None:
    (shell.folder / "own.py").write_text(OWN)
    (shell.folder / "failing.py").write_text(FAILING)
    (shell.folder / "typed.py").write_text(TYPED)
    (shell.folder / "pipes.py").write_text(PIPELINES)
    done = shell.run("serve", *arguments, status=status)
    assert done.stdout == ""
    assert re.fullmatch(said, done.stderr, re.DOTALL), done.stderr
    assert "src/portico" not in done.stderr
    assert "site-packages" not in done.stderr


def test_a_token_that_may_not(shell: Shell, relay: Relay) -> None:
    token = relay.token("--publish", "cat*")
    done = shell.run("serve", "myapp:app", "--id=dog", f"--server-url={relay.url}", status=1, PORTICO_TOKEN=token)
    assert done.stderr.count("\n") == 1
    assert "may not publish 'dog', only: cat*" in done.stderr
    done = shell.run(
        "serve", "myapp:app", "--workspace=other", f"--server-url={relay.url}", status=1, PORTICO_TOKEN=token
    )
    assert "this token is for the workspace 'alice'" in done.stderr


def test_ctrl_c_waits_for_requests_and_not_for_ever(shell: Shell, interrupt: Interrupt) -> None:
    (shell.folder / "slow.py").write_text(
        "import asyncio\n"
        "async def app(scope, receive, send):\n"
        "    if scope['type'] != 'http': return\n"
        "    await send({'type': 'http.response.start', 'status': 200, 'headers': []})\n"
        "    await send({'type': 'http.response.body', 'body': b'begun ', 'more_body': True})\n"
        "    await asyncio.sleep(0.5 if scope['path'].endswith('/short') else 60)\n"
        "    await send({'type': 'http.response.body', 'body': b'ended'})\n"
    )
    process, url = shell.serve("slow:app", "--port=0", "--timeout-graceful-shutdown=2")
    with httpx.stream("GET", url + "short", trust_env=False) as answer:
        pieces = answer.iter_raw()
        assert next(pieces) == b"begun "
        process.send_signal(signal.SIGINT)
        assert b"".join(pieces) == b"ended"
    assert process.wait(20) == 0
    process, url = shell.serve("slow:app", "--port=0", "--timeout-graceful-shutdown=0.2")
    with httpx.stream("GET", url + "long", trust_env=False) as answer:
        assert next(answer.iter_raw()) == b"begun "
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert time.monotonic() - begun < 10


def test_help_costs_nothing_and_says_that_a_token_is_seen(shell: Shell) -> None:
    said = " ".join(shell.run("serve", "--help").stdout.split())
    assert "Others on this machine see it in the list of processes" in said
    assert shell.run("--version").stdout.startswith("portico ")
    assert "there is no command 'sreve'" in shell.run("sreve", status=2).stderr


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    import sys

    code = "import sys, portico.cli; portico.cli.main(['--help']); print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert loaded & {"asyncio", "argparse", "websockets", "ssl", "uvicorn", "starlette", "jwt", "segno"} == set()


def test_credentials_are_for_their_owner_alone(shell: Shell, relay: Relay, tmp_path: Path) -> None:
    from portico.provider import credentials
    from portico.provider.credentials import Credential

    where = credentials.save(
        Credential(url=relay.url + "/", token=relay.token(), workspace="alice", saved=1.0),
        {"XDG_CONFIG_HOME": shell.environment["XDG_CONFIG_HOME"]},
    )
    assert stat.S_IMODE(where.stat().st_mode) == 0o600
    assert re.search(r"alice\s+-\s+-", shell.run("status", "--port", NOBODY, status=1).stdout)
    process, url = shell.serve("myapp:app", f"--server-url={relay.url}", "--login")
    assert url == f"{relay.url}/alice/apps/myapp/"
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    assert shell.run("logout").stdout == f"You are logged out at {relay.url}/.\n"
    assert "logged in nowhere" in shell.run("status", "--port", NOBODY, status=1).stdout


def test_a_relay_that_cannot_be_reached_is_named_at_once(shell: Shell) -> None:
    process = shell.start("serve", "myapp:app", "--server-url=http://127.0.0.1:1", "--token=a.b.c")
    assert process.stderr is not None
    said = process.stderr.readline()
    assert said.startswith("ws://127.0.0.1:1/portico/link cannot be reached: ")
    assert said.endswith(". It is tried again.\n")
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert last_words(process) == ("", "")
    assert process.returncode == 0


def test_what_runs_with_a_token_that_is_revoked_ends_and_says_so(shell: Shell, relay: Relay) -> None:
    token = relay.token("--publish", "*")
    process, url = shell.serve("myapp:app", "--id=revoked", f"--server-url={relay.url}", f"--token={token}")
    headers = {"Authorization": f"Bearer {token}"}
    token_id = get(f"{relay.url}/portico/api/me", headers=headers).json()["token"]["id"]
    gone = httpx.delete(f"{relay.url}/portico/api/tokens/{token_id}", headers=headers, trust_env=False)
    assert gone.status_code == 204
    said = last_words(process)[1]
    assert process.returncode == 1
    assert "revoked" in said.splitlines()[-1]
    assert get(url).status_code in (401, 503)


EXITING = """
import asyncio
from fastapi import FastAPI

app = FastAPI()

@app.get("/fine")
async def fine():
    return "fine"

@app.get("/exit")
async def leave():
    raise SystemExit(2)

@app.get("/task")
async def task():
    async def work():
        raise SystemExit(2)
    asyncio.create_task(work())
    return "begun"

@app.get("/callback")
async def callback():
    def work():
        raise KeyboardInterrupt
    asyncio.get_running_loop().call_soon(work)
    return "begun"

async def make():
    asyncio.get_running_loop()
    return app

def make_on_the_loop():
    asyncio.get_running_loop()
    return app

def leaves():
    raise SystemExit(2)
"""


@pytest.mark.parametrize("factory", ["", "make", "make_on_the_loop"])
def test_an_app_that_exits_does_not_end_the_command(shell: Shell, interrupt: Interrupt, factory: str) -> None:
    """And a factory is called on the loop that its app will run on."""
    (shell.folder / "exiting.py").write_text(EXITING)
    arguments = ("--factory", f"exiting:{factory}") if factory else ("exiting:app",)
    process, url = shell.serve(*arguments, "--access=public")
    statuses = [get(url + path).status_code for path in ("exit", "task", "callback", "fine")]
    assert statuses == [500, 200, 200, 200]
    said = interrupt(process)
    assert said.count("SystemExit: 2") >= 2
    assert "KeyboardInterrupt" in said


def test_a_factory_that_exits_is_a_failure_with_its_traceback(shell: Shell) -> None:
    (shell.folder / "exiting.py").write_text(EXITING)
    said = shell.run("serve", "--factory", "exiting:leaves", status=1).stderr
    assert "calling exiting:leaves failed" in said
    assert "SystemExit: 2" in said


def test_a_module_that_exits_is_a_failure_with_its_traceback(shell: Shell) -> None:
    (shell.folder / "parses.py").write_text("import argparse\nargparse.ArgumentParser().parse_args(['--no'])\n")
    said = shell.run("serve", "parses:app", status=1).stderr
    assert "importing parses failed" in said
    assert "SystemExit: 2" in said
