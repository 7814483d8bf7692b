"""Imports a wrapper's file where it lies, in a package of its own, so that no two pipelines share a module by accident.

The file's folder is the package, whatever the folder is called: ``from .helpers import x`` and ``import helpers`` give
the ``helpers.py`` beside it, at any time, and so does ``from chat.helpers import x`` in a pipeline called ``chat``. No
file is written: bytecode neither, since a file that changes twice within a second would be mistaken for the old one.

Here: from a folder to the wrapper class. Not here: what is made of the class (`preparing`), and what a file says that
it needs (`requirements`).
"""

from __future__ import annotations

import builtins
import importlib
import importlib.machinery
import importlib.util
import logging
import os
import re
import sys
import threading
import typing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any
from weakref import WeakValueDictionary

from portico.errors import PipelineError
from portico.functions.values.classes import holds_bytes
from portico.functions.values.families import family_of
from portico.packages import pip_install
from portico.pipelines.importing import importing, is_imported

log = logging.getLogger(__name__)

ROOT = "portico_pipelines"
"""The package that holds the packages of all pipelines."""

FILE = "pipeline_wrapper.py"
CLASS = "PipelineWrapper"

_import = builtins.__import__
_lock = threading.RLock()
"""Held for a moment, while modules come into ``sys.modules`` or go: never while a module is
imported. One thread may take it twice: the garbage collector runs code at any time."""
_packages: dict[str, Package] = {}
"""Those whose modules are in ``sys.modules``, by name."""
_alive: WeakValueDictionary[str, Package] = WeakValueDictionary()
"""Those that some code still runs in, too: their names are not given out again."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A wrapper class, and the modules that came with it."""

    wrapper: type[Any]
    package: Package

    def discard(self) -> None:
        """Forget its modules; those that still run keep them."""
        self.package.discard()


def load_wrapper(name: str, folder: Path) -> Loaded:
    """Import ``pipeline_wrapper.py`` of *folder* for the pipeline *name*, and find its ``PipelineWrapper``.

    It may take as long as the file's imports take. Raises `PipelineError` for whatever goes wrong, and leaves no module
    behind then.
    """
    folder = folder.absolute()
    package = Package(name, folder)
    try:
        if not (folder / FILE).is_file():
            raise _unusable(name, f"Required file '{folder / FILE}' not found")
        return Loaded(_wrapper_of(package.load(), name), package)
    except (KeyboardInterrupt, PipelineError):
        package.discard()
        raise
    except BaseException as error:  # the file is anybody's code: sys.exit() in it ends no server
        package.discard()
        log.debug("The wrapper of the pipeline %r cannot be loaded", name, exc_info=True)
        raise _unusable(name, f"{told(error)}{_advice(error)}") from error


def _unusable(name: str, why: str) -> PipelineError:
    return PipelineError(f"Failed to load pipeline module '{name}' - {why}")


def _advice(error: BaseException) -> str:
    """What to do about an import that found nothing."""
    if not isinstance(error, ModuleNotFoundError) or not error.name or "." in error.name:
        return ""
    if error.name == "haystack":
        return f". Install it where this server runs: {pip_install('haystack-ai')}"
    return f". Install its package where this server runs, or put {error.name}.py beside {FILE}"


def told(error: BaseException) -> str:
    """What *error* says; its class, if it says nothing, or only a key or a number."""
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001 - an exception's own __str__ may do anything
        text = ""
    kind = type(error).__name__
    return (f"{kind}: {text}" if isinstance(error, KeyError | SystemExit) else text) if text else kind


def _wrapper_of(module: ModuleType, name: str) -> type[Any]:
    found = getattr(module, CLASS, None)
    if isinstance(found, type):
        return found
    if found is not None:
        raise _unusable(name, f"The '{CLASS}' of module '{name}' is not a class")
    from portico.pipelines.wrapper import BasePipelineWrapper

    others = [
        key
        for key, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, BasePipelineWrapper) and value is not BasePipelineWrapper
    ]
    advice = (
        f"rename '{others[0]}' to '{CLASS}'" if len(others) == 1 else f"write 'class {CLASS}(BasePipelineWrapper):'"
    )
    raise _unusable(name, f"Module '{name}' does not define a '{CLASS}' class: {advice}")


class Package:
    """The modules of one loaded folder."""

    def __init__(self, name: str, folder: Path) -> None:
        self.folder = folder
        self.modules: dict[str, ModuleType] = {}
        """Those that were loaded from the folder, by their names in ``sys.modules``."""
        self._is_discarded = False
        self._imports = 0
        """Import statements that are being carried out, and need the modules to be found."""
        self._looked_at = 0
        self._lies: dict[str, bool] = {}
        """Whether modules of these names lie in the folder, as it was then."""
        self._names = frozenset(one for one in (name, folder.name) if one.isidentifier() and not _is_regular(one, self))
        self._builtins = {**vars(builtins), "__import__": self._import}
        _install()
        with _lock:
            self.name = _free_name(name)
            _packages[self.name] = _alive[self.name] = self

    def load(self) -> ModuleType:
        """Import the folder's ``__init__.py``, if there is one, and its wrapper's file."""
        with importing():
            return importlib.import_module(f"{self.name}.{FILE.removesuffix('.py')}")

    def discard(self) -> None:
        """Take its modules out of ``sys.modules``. What runs keeps them, and may import more of the folder."""
        with _lock:
            self._is_discarded = True
            if not self._imports:
                self._remove()

    def spec(self, fullname: str, path: Sequence[str] | None) -> importlib.machinery.ModuleSpec | None:
        """Where *fullname*, a module of this package, lies."""
        if fullname == self.name:
            init = self.folder / "__init__.py"
            if init.is_file():
                loader = _Loader(fullname, str(init))
                return importlib.util.spec_from_file_location(
                    fullname, init, loader=loader, submodule_search_locations=[str(self.folder)]
                )
            spec = importlib.machinery.ModuleSpec(fullname, None, is_package=True)
            spec.submodule_search_locations = [str(self.folder)]
            return spec
        found = importlib.machinery.PathFinder.find_spec(fullname, path)
        if found is not None and type(found.loader) is importlib.machinery.SourceFileLoader:
            found.loader = _Loader(fullname, found.loader.path)
            found.cached = None
        return found

    def prepare(self, module: ModuleType) -> None:
        """Let the import statements of *module* find what lies beside it."""
        module.__dict__["__builtins__"] = self._builtins
        self.modules[module.__name__] = module

    def _import(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """What an import statement in a file of this folder calls (Python's reference, ``__import__``)."""
        if level:
            with self._present():
                return _import(name, globals, locals, fromlist or (), level)
        first, _, rest = name.partition(".")
        if self._has(first):
            return self._own(f"{self.name}.{name}", f"{self.name}.{first}", fromlist)
        if first in self._names:
            return self._own(f"{self.name}.{rest}" if rest else self.name, self.name, fromlist)
        if is_imported(first):
            return _import(name, globals, locals, fromlist or (), 0)
        with importing():
            try:
                return _import(name, globals, locals, fromlist or (), 0)
            except ModuleNotFoundError as error:
                if error.name != first or not self._search_parent(first):
                    raise
            return _import(name, globals, locals, fromlist or (), 0)

    def _own(self, name: str, first: str, fromlist: Sequence[str] | None) -> ModuleType:
        with self._present():
            if fromlist:
                return _import(name, None, None, fromlist, 0)
            importlib.import_module(name)
            return sys.modules[first]

    def _has(self, first: str) -> bool:
        """Whether a module called *first* lies in the folder. What is built into Python comes first.

        It is looked for again only when the folder has changed, as Python's own finder does: an import statement in a
        function runs at each call.
        """
        try:
            changed = os.stat(self.folder).st_mtime_ns
        except OSError:  # it was taken away: what is known of it stays
            changed = self._looked_at
        if changed != self._looked_at:
            self._looked_at, self._lies = changed, {}
        lies = self._lies.get(first)
        if lies is None:
            lies = self._lies[first] = self._finds(first)
        return lies

    def _finds(self, first: str) -> bool:
        if first in sys.builtin_module_names or not first.isidentifier():
            return False
        found = importlib.machinery.PathFinder.find_spec(first, [str(self.folder)])
        if found is None:
            return False
        # A folder without an __init__.py is a package only if there is no other of that name.
        return found.loader is not None or not _is_regular(first)

    def _search_parent(self, first: str) -> bool:
        """Let all of this process import what lies beside the folder, if *first* does: what pipelines share."""
        parent = str(self.folder.parent)
        if parent in sys.path or importlib.machinery.PathFinder.find_spec(first, [parent]) is None:
            return False
        sys.path.append(parent)
        return True

    @contextmanager
    def _present(self) -> Iterator[None]:
        """The modules are in ``sys.modules``, where Python looks for the package of a relative import."""
        with _lock:
            self._imports += 1
            if self._is_discarded:
                sys.modules.update(self.modules)
                _packages[self.name] = self
        try:
            yield
        finally:
            with _lock:
                self._imports -= 1
                if self._is_discarded and not self._imports:
                    self._remove()

    def _remove(self) -> None:
        prefix = f"{self.name}."
        for name, module in sys.modules.copy().items():
            if name == self.name or name.startswith(prefix):
                self.modules[name] = module
                del sys.modules[name]
        _packages.pop(self.name, None)
        if (parent := sys.modules.get(ROOT)) is not None:
            vars(parent).pop(self.name.rpartition(".")[2], None)
        # Caches hold classes, and these their modules, with all that is in them. Those of typing have no public way.
        for clear in (family_of.cache_clear, holds_bytes.cache_clear, *getattr(typing, "_cleanups", ())):
            clear()


def _free_name(name: str) -> str:
    plain = re.sub(r"\W", "_", name) or "_"
    free = f"{ROOT}.{plain}"
    number = 1
    while free in _alive or free in sys.modules:
        number += 1
        free = f"{ROOT}.{plain}__{number}"
    return free


def _is_regular(name: str, package: Package | None = None) -> bool:
    """Whether a module of that name is to be had anyway, and not from the folder of *package*."""
    if name in sys.modules:
        found: Any = getattr(sys.modules[name], "__spec__", None)
        if found is None:
            return True
    else:
        try:
            found = importlib.util.find_spec(name)
        except (ImportError, ValueError, AttributeError):  # as `__main__` has it, or some finder of somebody's
            return False
    if found is None or (found.loader is None and found.origin is None) or found.origin is None:
        return False
    return package is None or Path(found.origin).parent != package.folder


class _Loader(importlib.machinery.SourceFileLoader):
    """Source code as it is now, with the import statement of its package."""

    def get_code(self, fullname: str) -> CodeType | None:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code

    def exec_module(self, module: ModuleType) -> None:
        _package_of(module.__name__).prepare(module)
        super().exec_module(module)


class _Finder:
    """Finds the modules of packages that were loaded here."""

    @staticmethod
    def find_spec(
        fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not fullname.startswith(ROOT):
            return None
        if fullname == ROOT:
            return importlib.machinery.ModuleSpec(ROOT, None, is_package=True)
        try:
            return _package_of(fullname).spec(fullname, path)
        except KeyError:
            return None


def _package_of(fullname: str) -> Package:
    return _packages[".".join(fullname.split(".")[:2])]


def _install() -> None:
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)
