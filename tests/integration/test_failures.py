"""An app that fails: its author sees all of it, its visitors nothing."""

from __future__ import annotations

import pytest

from tests.conformance.wire import read_answer
from tests.integration.visit import get, new_id, send
from tests.live_jupyter import JupyterServer, Kernel


def test_a_failing_startup_is_shown_in_the_cell(jupyter_server: JupyterServer, kernel: Kernel) -> None:
    name = new_id()
    error = kernel.execute(
        f"import portico\nfrom tests.integration import apps\nportico.serve(apps.failing(), {name!r})"
    ).error
    assert error is not None
    assert error[0] == "StartupFailed"
    assert "the model file is missing" in error[2]
    assert get(f"{jupyter_server.url}portico/apps/{name}/")[0].status == 401


def test_a_failing_replacement_keeps_the_old_app(jupyter_server: JupyterServer, kernel: Kernel) -> None:
    name = new_id()
    url = f"{jupyter_server.url}portico/apps/{name}/"
    kernel.execute(
        f"""
import portico
from tests.integration import apps
service = portico.serve(apps.raw, {name!r}, access="public")
"""
    ).check()
    for again in (
        "from portico.provider.serving import renew\nrenew(service, apps.failing())",
        f"portico.serve(apps.failing(), {name!r}, access='public')",
    ):
        error = kernel.execute(again).error
        assert error is not None
        assert error[0] == "StartupFailed"
        assert get(url)[1] == b"hello"
        assert kernel.execute("print(service.status)").text.strip() == "live"


@pytest.mark.parametrize("path", ["raise", "raise-late"])
def test_an_exception_is_the_authors_alone(jupyter_server: JupyterServer, kernel: Kernel, path: str) -> None:
    name = new_id()
    kernel.execute(
        f"""
import portico
from tests.integration import apps
service = portico.serve(apps.raw, {name!r}, access="public")
"""
    ).check()
    wire = send(f"{jupyter_server.url}portico/apps/{name}/{path}")
    answer = read_answer(wire)
    body = answer.read_rest()
    wire.close()
    assert b"for the author" not in body
    assert "for the author" not in str(answer.head.headers)
    if path == "raise":
        assert answer.head.status == 500
    else:
        assert not answer.complete, "an answer that broke off must not look whole"
    log = kernel.execute("print(service.log)").check().text
    assert "a detail for the author alone" in log
    assert "tests/integration/apps.py" in log.replace("\\", "/")
    assert f"GET /portico/apps/{name}/{path}" in log
