"""Wheels for a tab: Portico's own, made of what is installed; what others need; and Pyodide's lock file over them.

Nothing here fetches anything. Platforms and markers are those of Pyodide, not of the machine that this runs on.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from email.parser import HeaderParser
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from portico.errors import InvalidOption
from portico.version import __version__

if TYPE_CHECKING:
    from packaging.requirements import Requirement

PYODIDE = "314.0.7"
"""The version of Pyodide that is meant where none is at hand."""

INFO = {"abi_version": "2026_0", "arch": "wasm32", "platform": "emscripten_5_0_3", "python": "3.14.2"}
"""What its lock file says of it."""

_ELSEWHERE = re.compile(r"(cli|hub|jupyter|relay|static/(labextension|site))/|browser/(bundle|compile|export|wheels)\.")
"""What of Portico does not run in a tab's Python, and would only be loaded there."""

_EXTRAS = ("functions",)
"""Portico's extras that make sense in a tab."""


def portico_wheel(folder: Path) -> Path:
    """Make a wheel of the Portico that runs this, as far as it runs in a tab, in *folder*."""
    package = Path(__file__).resolve().parent.parent
    needs = [text for text in _own_metadata().get_all("Requires-Dist", []) if _is_for_a_tab(text)]
    about = ["Metadata-Version: 2.1", "Name: portico", f"Version: {__version__}", "Requires-Python: >=3.11"]
    about += [f"Provides-Extra: {extra}" for extra in _EXTRAS]
    info = f"portico-{__version__}.dist-info"
    files = {
        f"portico/{path.relative_to(package).as_posix()}": path.read_bytes()
        for path in sorted(package.rglob("*"))
        if path.is_file()
        and "__pycache__" not in path.parts
        and not _ELSEWHERE.match(path.relative_to(package).as_posix())
    }
    files[f"{info}/METADATA"] = "\n".join([*about, *(f"Requires-Dist: {text}" for text in needs), ""]).encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: portico\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = [f"{name},sha256={_digest(content)},{len(content)}" for name, content in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""]).encode()
    target = folder / f"portico-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as wheel:
        for name, content in files.items():
            wheel.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)  # no time of day: the same bytes again
    return target


def _is_for_a_tab(requirement: str) -> bool:
    _, found, extra = requirement.partition("extra ==")
    return not found or extra.strip(" '\"") in _EXTRAS


def _own_metadata() -> Any:
    try:
        return metadata.metadata("portico")
    except metadata.PackageNotFoundError:
        raise InvalidOption("Portico runs from a folder here: install it, so that it is known what it needs") from None


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


@dataclass(frozen=True)
class Wheel:
    """What a wheel says of itself."""

    path: Path
    name: str
    version: str
    needs: tuple[Requirement, ...]
    imports: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> Wheel:
        """Raises `InvalidOption` for what is no wheel."""
        requirement = _packaging("requirements").Requirement
        try:
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
                [about] = [name for name in names if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)]
                fields = HeaderParser().parsestr(archive.read(about).decode())
        except (zipfile.BadZipFile, ValueError, OSError) as error:
            raise InvalidOption(f"{path} is no wheel: {error}") from None
        tops = {name.partition("/")[0].partition(".")[0] for name in names if ".dist-info/" not in name}
        return cls(
            path,
            canonical(fields["Name"]),
            fields["Version"],
            tuple(requirement(text) for text in fields.get_all("Requires-Dist", [])),
            tuple(sorted(top for top in tops if top.isidentifier())),
        )

    def alone(self) -> Wheel:
        """The same, taken without what it needs."""
        return replace(self, needs=())


def in_folder(folder: Path) -> dict[str, Wheel]:
    """The wheels that lie in *folder*, by name. Raises `InvalidOption` for what is none."""
    return {wheel.name: wheel for wheel in map(Wheel.read, sorted(folder.glob("*.whl")))}


def canonical(name: str) -> str:
    """A project's name as an index has it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass
class Closure:
    """The wheels that are needed, and what is not among those at hand."""

    wheels: dict[str, Wheel]
    depends: dict[str, set[str]]
    missing: dict[str, str]
    """By name, the requirement that asks for it."""


def closure(wanted: Iterable[str], at_hand: Mapping[str, Wheel], info: Mapping[str, str]) -> Closure:
    """Which wheels of those *at_hand* are needed for the *wanted* requirements in the Pyodide of *info*.

    Raises `InvalidOption` for a requirement that cannot be read, and where a wheel's version is not the one asked for.
    """
    requirements = _packaging("requirements")
    markers = _markers(info)
    found = Closure({}, {}, {})
    try:
        todo: list[tuple[str, Requirement]] = [("", requirements.Requirement(text)) for text in wanted]
    except requirements.InvalidRequirement as error:
        raise InvalidOption(f"a requirement cannot be read: {error}") from None
    done: set[tuple[str, str]] = set()
    while todo:
        asker, need = todo.pop()
        name = canonical(need.name)
        if asker:
            found.depends[asker].add(name)
        wheel = at_hand.get(name)
        if wheel is None:
            found.missing.setdefault(name, str(need))
            continue
        if not need.specifier.contains(wheel.version, prereleases=True):
            raise InvalidOption(f"{asker or 'the app'} needs {need}, and the wheel at hand is {wheel.path.name}")
        if name not in found.wheels:
            found.wheels[name] = wheel
            found.depends[name] = set()
        for extra in ("", *need.extras):
            if (name, extra) not in done:
                done.add((name, extra))
                further = [one for one in wheel.needs if one.marker is None or _holds(one, markers, extra)]
                todo += [(name, one) for one in further]
    return found


def _holds(need: Requirement, markers: dict[str, str], extra: str) -> bool:
    return need.marker is not None and need.marker.evaluate({**markers, "extra": extra})


def _markers(info: Mapping[str, str]) -> dict[str, str]:
    """The environment of PEP 508 in the Pyodide of *info*."""
    return {
        "os_name": "posix",
        "sys_platform": "emscripten",
        "platform_system": "Emscripten",
        "platform_machine": info["arch"],
        "platform_release": "",
        "platform_version": "",
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
        "implementation_version": info["python"],
        "python_version": info["python"].rpartition(".")[0],
        "python_full_version": info["python"],
    }


def tags(info: Mapping[str, str]) -> list[str]:
    """The options by which pip finds wheels for the Pyodide of *info*."""
    short = info["python"].rpartition(".")[0]
    abi = "cp" + short.replace(".", "")
    platform = f"pyemscripten_{info['abi_version']}_{info['arch']}"
    return [
        *("--python-version", short, "--implementation", "cp", "--abi", abi, "--abi", "abi3", "--abi", "none"),
        *("--platform", platform, "--platform", "any", "--only-binary=:all:"),
    ]


def lock(found: Closure, info: Mapping[str, str]) -> str:
    """Pyodide's lock file over the wheels of *found*, which lie beside it. Loading checks their hashes."""
    packages = {
        name: {
            "name": name,
            "version": wheel.version,
            "file_name": wheel.path.name,
            "install_dir": "site",
            "sha256": hashlib.sha256(wheel.path.read_bytes()).hexdigest(),
            "package_type": "package",
            "unvendored_tests": False,
            "imports": list(wheel.imports),
            "depends": sorted(found.depends[name]),
        }
        for name, wheel in sorted(found.wheels.items())
    }
    return json.dumps({"info": dict(info), "packages": packages}, indent=1)


def _packaging(module: str) -> Any:
    from importlib import import_module

    try:
        return import_module(f"packaging.{module}")
    except ImportError:
        raise InvalidOption("wheels beside the page need packaging: pip install packaging") from None
