"""``%serve`` in a real kernel: what it gives, and what it says when it cannot."""

from __future__ import annotations

from collections.abc import Callable
from urllib.error import HTTPError

import nbclient
import nbformat
import pytest

from tests.live_jupyter import Kernel, Output

Run = Callable[[str], Output]
Get = Callable[[str], object]


def test_an_app_is_live_when_the_cell_ends(run: Run, get: Get) -> None:
    run("plain = answering('plain')\n%serve plain")
    assert get("plain/") == "plain"
    assert run("print(service.name, portico.service('plain') is service)").text == "plain True\n"


def test_the_service_is_what_the_magic_gives(run: Run) -> None:
    output = run("given = answering('given')\nx = %serve given --name other --title 'The other'\nprint(x.title, x.url)")
    assert output.text.startswith("The other http://127.0.0.1:")
    assert output.text.endswith("/portico/apps/other/\n")


def test_a_variable_named_service_stays_the_authors(run: Run) -> None:
    run("service = 'mine'\nthird = answering(3)\n%serve third")
    assert run("print(service)").text == "mine\n"
    run("del service")


def test_a_dict_of_functions_is_several_models(run: Run, get: Get) -> None:
    run("f = lambda messages: 'f'\ng = lambda messages: 'g'")
    run('%serve {"a": f, "b": g} --name zoo --chat')
    models = get("zoo/v1/models")
    assert isinstance(models, dict)
    assert [model["id"] for model in models["data"]] == ["a", "b"]


def test_list_and_stop(run: Run, get: Get) -> None:
    run("short_lived = answering(1)\n%serve short_lived")
    listed = run("%serve --list").text
    line = next(line for line in listed.splitlines() if line.startswith("short-lived "))
    assert "live" in line
    assert "private" in line
    assert line.endswith("/portico/apps/short-lived/")
    assert run("%serve --stop short_lived").text == "short-lived is stopped.\n"
    assert "short-lived" not in run("%serve --list").text
    with pytest.raises(HTTPError, match="404"):
        get("short-lived/")


def test_the_doctor_says_how_the_hub_was_found(run: Run) -> None:
    run("examined = answering(1)\n%serve examined")
    text = run("%serve --doctor").text
    assert "->" in text
    assert "it has the Portico extension" in text
    assert "service examined: live" in text
    token = run("import os; print(os.environ['PORTICO_HUB_TOKEN'])").text.strip()
    assert len(token) > 40
    assert token not in text, "a credential is shown"
    assert "eyJ" not in text, "a credential of another kind is shown"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "serve what? Try: %serve app"),
        ("nothing_of_that_name", "name 'nothing_of_that_name' is not defined. Run the cell that defines it first."),
        ("answerin", "Run the cell that defines it first. Did you mean 'answering'?"),
        ("1 +", "is no Python expression"),
        ("5", "5 (of type int) is no app. What can be served"),
        ("answering('x') --name Not_A_Name!", "Not_A_Name!"),
        ("answering('x') --name x --origin chat.example.com", "'chat.example.com' is no origin"),
        ("answering('x') --name x --replace --replica", "choose one of replace and replica"),
        ("--stop nobody", "no service named 'nobody' here"),
        ("answering('x') --access open", "invalid choice: 'open'"),
        ("answering('x') --public", "there is no --public: write --access public"),
        ("answering('x') --help", "%serve? shows what there is"),
        ("answering len", "several are served as a list: %serve [answering, len] --name NAME"),
        ("'answering'", "write the name without quotes, %serve answering"),
    ],
)
def test_an_error_is_one_message_and_fails_the_cell(notebook: Kernel, line: str, says: str) -> None:
    output = notebook.execute(f"%serve {line}\nprint('went on')")
    assert output.error is not None
    name, value, shown = output.error
    assert name == "ServeError"
    assert says in value
    assert says in shown
    assert "File " not in shown
    assert output.text == ""


def test_an_expression_that_fails_is_the_authors_own_error(notebook: Kernel) -> None:
    output = notebook.execute("%serve answering()")
    assert output.error is not None
    assert output.error[0] == "TypeError"


def test_a_startup_that_fails_shows_the_authors_line(notebook: Kernel) -> None:
    output = notebook.execute(
        "from contextlib import asynccontextmanager\n"
        "@asynccontextmanager\n"
        "async def lifespan(app):\n"
        "    raise RuntimeError('no database')\n"
        "    yield\n"
        "unready = FastAPI(lifespan=lifespan)\n"
        "%serve unready"
    )
    assert output.error is not None
    shown = output.error[2]
    assert "RuntimeError: no database" in shown
    assert "line 4, in lifespan" in shown
    assert "Cell In[" in shown
    assert "starlette" not in shown
    assert output.text == ""
    assert "unready" not in notebook.execute("%serve --list").text


def test_a_name_that_another_kernel_holds(notebook: Kernel) -> None:
    notebook.execute("held = answering('here')\n%serve held").check()
    other = notebook.server.kernel()
    try:
        other.execute("%load_ext portico\nasync def held(scope, receive, send): ...").check()
        refused = other.execute("%serve held")
        assert refused.error is not None
        assert notebook.id in refused.error[1]
        assert "--replace" in refused.error[1]
        assert "--replica" in refused.error[1]
        other.execute("%serve held --replica").check()
        other.execute("%serve held --replace").check()
    finally:
        other.shutdown()


def test_run_all_stops_at_a_serve_that_fails() -> None:
    # As papermill and nbconvert run it; no hub is needed for this error.
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in ("%load_ext portico\n%serve nothing", "print('went on')")]
    )
    with pytest.raises(nbclient.exceptions.CellExecutionError, match="name 'nothing' is not defined"):
        nbclient.NotebookClient(notebook, kernel_name="python3").execute()
    failed, after = notebook.cells
    assert [output["output_type"] for output in failed.outputs] == ["error"]
    assert after.outputs == []
