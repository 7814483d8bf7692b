"""Keeps a service's code from ending the kernel by ``exit()`` or ``quit()``, which in a notebook are IPython's own.

Python's raise `SystemExit`, which is the app's failure as any other exception. IPython's raise nothing: they tell the
shell to end, from whichever thread they are called.
"""

from __future__ import annotations

from typing import Any

from portico.calls.owner import OWNER
from portico.packages import loaded


def keep_shell() -> None:
    """Let ``exit()`` and ``quit()`` raise `SystemExit` in a service's code, if this process has a shell of IPython's.

    In the notebook's own cells they end the kernel as before.
    """
    get_ipython = loaded("IPython", "get_ipython")
    shell: Any = get_ipython() if get_ipython is not None else None
    ask_exit = getattr(shell, "ask_exit", None)
    if ask_exit is None or getattr(ask_exit, "keeps", False):
        return

    def ask() -> None:
        if OWNER.get() is not None:
            raise SystemExit
        ask_exit()

    ask.keeps = True  # type: ignore[attr-defined]
    shell.ask_exit = ask
