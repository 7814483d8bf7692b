"""IPython in a terminal, with no kernel and no front end: the card is text."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.live_jupyter import JupyterServer

HUB = ("PORTICO_HUB_URL", "PORTICO_HUB_TOKEN", "PORTICO_KERNEL_ID", "JPY_PARENT_PID")


def ipython(folder: Path, *lines: str, **variables: str) -> str:
    """What IPython prints for *lines*, both streams in one."""
    script = folder / "lines.ipy"
    script.write_text("\n".join(lines), "utf-8")
    env = {name: value for name, value in os.environ.items() if name not in HUB}
    env |= {"IPYTHONDIR": str(folder), "JUPYTER_RUNTIME_DIR": str(folder / "none"), **variables}
    command = [sys.executable, "-m", "IPython", "--colors=nocolor", "--no-banner", str(script)]
    done = subprocess.run(
        command, env=env, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False
    )
    return done.stdout.decode()


APP = "async def app(scope, receive, send): assert False"


def test_the_card_is_text_in_a_terminal(jupyter_server: JupyterServer, tmp_path: Path) -> None:
    said = ipython(
        tmp_path,
        "%load_ext portico",
        APP,
        "x = %serve app --name from-terminal",
        "%serve --list",
        "%serve --stop from-terminal",
        PORTICO_HUB_URL=jupyter_server.url,
        PORTICO_HUB_TOKEN=jupyter_server.token,
    )
    assert "from-terminal is live since " in said
    assert "while this process runs" in said
    assert f"{jupyter_server.url}portico/apps/from-terminal/" in said
    assert "curl " in said
    assert "<" not in said
    assert said.rstrip().endswith("from-terminal is stopped.")


def test_without_a_hub_the_error_and_the_doctor_say_what_to_do(tmp_path: Path) -> None:
    said = ipython(tmp_path, "%load_ext portico", APP, "%serve --doctor", "%serve app")
    doctor, _, error = said.partition("ServeError")
    assert "No way leads to a hub" in doctor
    assert "portico[jupyter]" in doctor
    assert error
    assert "Traceback" not in said
