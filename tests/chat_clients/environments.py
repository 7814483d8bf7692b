"""Where the clients live that are no part of the tests' own environment: JavaScript packages, and older Python ones.

``python -m tests.chat_clients.environments`` makes both.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tests import environments

HERE = Path(__file__).resolve().parent
REQUIREMENTS = HERE / "requirements.txt"
JAVASCRIPT = HERE / "js"


def python() -> Path:
    """The interpreter of the environment for the clients of requirements.txt."""
    return environments.python("chat-clients", REQUIREMENTS)


def node() -> str:
    """Node.js, with the packages of js/package-lock.json installed. Raises `LookupError` where there is none."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise LookupError("Node.js and npm are not installed.")
    lock = (JAVASCRIPT / "package-lock.json").read_bytes()
    environments.unless_made(
        JAVASCRIPT / "node_modules" / ".made-from", lock, lambda: environments.run([npm, "ci", "--silent"], JAVASCRIPT)
    )
    return node


if __name__ == "__main__":
    print(python())
    print(node())
