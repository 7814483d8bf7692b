"""Kernels that serve tools: a package whose objects are sets of typed functions, with an adapter that takes them.

Its calls are answered by the official SDK, as those of every typed function are. `in_kernel` is what a notebook runs
first; then ``%serve Toolkit(predict)`` serves a tool. What other packages may declare is proven with it on the way.
"""

from __future__ import annotations

from pathlib import Path

_MODULE = '''
class Toolkit:
    """Functions that agents may call."""

    def __init__(self, *functions):
        self.functions = functions


class Adapter:
    def claims(self, thing):
        return isinstance(thing, Toolkit)

    def take(self, toolkit, options):
        from portico.adapters import Taken, ToolList
        from portico.functions.as_tools import tools_of
        from portico.functions.signature import typed_function
        from portico.tools.server import ToolServer

        tools = tools_of([typed_function(function) for function in toolkit.functions])
        definitions = {tool.name: tool.definition() for tool in tools}
        return Taken(ToolServer(tools, name="toolkit"), kind="toolkit", tools=ToolList.of(definitions))
'''


def in_kernel(folder: Path) -> str:
    """What a kernel runs to know the package, which is put into *folder*."""
    (folder / "toolkits.py").write_text(_MODULE)
    info = folder / "toolkits-1.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toolkits\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[portico.adapters]\ntoolkits = toolkits:Adapter\n")
    return "\n".join(
        (
            "import asyncio, os, sys, time",
            f"sys.path.insert(0, {str(folder)!r})",
            "import portico",
            "from portico.functions.given import Progress, User",
            "from toolkits import Toolkit",
            "%load_ext portico",
        )
    )


SERVE = '''
def predict(area: float, rooms: int = 2) -> float:
    """Price of a flat.

    Args:
        area: square metres
    """
    return area * 1000 + rooms

def who(user: User) -> str:
    """Who calls."""
    return user.id

async def steps(progress: Progress) -> str:
    """Goes step by step."""
    for number in range(3):
        progress(number + 1, 3, "going on")
        await asyncio.sleep(0.05)
    return "done"

def fails() -> None:
    """Never works."""
    raise ValueError("there is no such flat")

left = []

async def patient() -> str:
    """Waits to be cancelled."""
    try:
        await asyncio.sleep(3600)
    finally:
        left.append(time.time())
'''
"""What such a notebook may define."""
