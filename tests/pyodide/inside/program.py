# Runs in Pyodide: pytest over the tests in /repo. Its value is pytest's exit status.
import sys

sys.path.insert(0, "/repo")

import pytest
from tests.pyodide_inside import loop

from portico.tab import shim

shim.install()

with loop.installed():
    status = pytest.main(
        [
            "/repo/tests", "--rootdir=/repo", "-c", "/repo/pytest.ini",
            "-p", "no:cacheprovider", "-p", "no:faulthandler", "-q", "--no-header", "-rsfE", "--durations=10",
        ]
    )  # fmt: skip

int(status)
