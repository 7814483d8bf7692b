"""What importing costs, and what it needs: nothing that a browser or a bare Python lacks."""

import subprocess
import sys

PROGRAM = """
import sys
before = set(sys.modules)
import portico.models
assert "asyncio" not in sys.modules and "portico.models.app" not in sys.modules
from portico.models import chat_server
async def cat(messages): yield "x"
chat_server({"m": cat})
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(sorted(new - set(sys.stdlib_module_names) - {"portico"}))
ours = {name for name in sys.modules if name.startswith("portico.") and not name.startswith("portico.models")}
print(sorted(name for name in ours if not name.startswith("portico.calls")))
later = ("portico.calls.pump", "portico.models.page", "portico.models.response_socket")
print([name for name in later if name in sys.modules])
"""


def test_only_the_standard_library_is_imported():
    told = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines() == [
        "[]",
        "['portico.bounded', 'portico.errors', 'portico.networks', 'portico.types', 'portico.version']",
        "[]",
    ]


def test_every_public_name_is_there():
    import portico.models

    for name in portico.models.__all__:
        assert getattr(portico.models, name) is not None
