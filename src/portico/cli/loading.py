"""From ``module:app`` on a command line to the app. What its own code does wrong is shown as its author's."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import sys
from pathlib import Path
from typing import Any

from portico.calls.endings import is_failure
from portico.calls.log import Entry
from portico.errors import InvalidOption, StartupFailed
from portico.types import APP_NAMES, suggest_name


def load_app(target: str, *, app_dir: str = "") -> Any:
    """Import what *target* names, with *app_dir* in front of ``sys.path``.

    Raises `InvalidOption` if there is no such thing, `StartupFailed` with the author's part of the traceback as its
    text if its code fails.
    """
    module_name, attribute = split(target)
    folder = str(Path(app_dir or ".").resolve())
    if not Path(folder).is_dir():
        raise InvalidOption(f"--app-dir: there is no folder {app_dir}")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    module = _import(module_name, folder)
    found: Any = module
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise InvalidOption(f"the module {module_name} has no {attribute!r}{_instead(module)}") from None
    return found


async def make_app(factory: Any, target: str) -> Any:
    """The app that *factory* makes, which may be a coroutine function: what it makes may need the running loop.

    Raises `InvalidOption` for what cannot be called, `StartupFailed` as `load_app` does.
    """
    if not callable(factory):
        raise InvalidOption(f"--factory: {target} is a {type(factory).__name__}, and cannot be called")
    try:
        made = factory()
        return await made if inspect.isawaitable(made) else made
    except BaseException as error:
        task = asyncio.current_task()
        if not is_failure(error, stopped=task is not None and task.cancelling() > 0, task=task):
            raise
        raise _failed(f"calling {target}", error) from error


def split(target: str) -> tuple[str, str]:
    """The module's name and the app's; the latter is ``app`` where there is none. Raises `InvalidOption`."""
    module, colon, attribute = target.partition(":")
    if module.endswith(".py") or os.sep in module:
        name = ".".join(Path(module).with_suffix("").parts)
        raise InvalidOption(f"{target!r} is a file: write it as a module, {name}:{attribute or 'app'}")
    if not module or (colon and not attribute):
        raise InvalidOption(f"{target!r}: write it as module:app, such as myapp:app")
    return module, attribute or "app"


def name_for(target: str) -> str:
    """A service's name from *target*: the app's, or the module's where that says more. May be empty."""
    module, attribute = split(target)
    last = attribute.rpartition(".")[2]
    return suggest_name(module.rpartition(".")[2] if last in APP_NAMES else last)


def _import(name: str, folder: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            raise InvalidOption(f"there is no module {error.name!r} in {folder} (see --app-dir)") from None
        raise _failed(f"importing {name}", error) from error
    except (Exception, SystemExit) as error:  # a script that reads its command line, and ends
        raise _failed(f"importing {name}", error) from error


def _failed(doing: str, error: BaseException) -> StartupFailed:
    return StartupFailed(f"{doing} failed.\n{own(doing, error)}")


def own(doing: str, error: BaseException) -> str:
    """The part of *error*'s traceback that is in its author's code, and what it says."""
    entry = Entry(doing, error)
    return f"{entry.own}{entry.summary}"


def _instead(module: Any) -> str:
    """What of the module could have been meant."""
    apps = [name for name, value in vars(module).items() if not name.startswith("_") and _is_app(value)]
    return f"; did you mean {module.__name__}:{apps[0]}?" if apps else ""


def _is_app(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] in ("fastapi", "starlette", "flask", "litestar", "quart", "django")
