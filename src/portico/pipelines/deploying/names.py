"""What a pipeline may be called, and its files: names that stay inside the pipelines' folder on every system.

Here: rules on text and sizes, without a look at a disk. Not here: links and names on the disk (`folder`).
"""

from __future__ import annotations

import base64
import os
import re
import unicodedata
from collections.abc import Mapping
from typing import Final

from portico.errors import PipelineError

WRAPPER_FILE: Final = "pipeline_wrapper.py"
"""The file that makes a folder a pipeline."""

YAML_SUFFIXES: Final = (".yml", ".yaml")

LONGEST_NAME: Final = 200
"""Bytes of a pipeline's name in UTF-8. File systems take 255 for a file's name, which has a suffix besides."""
LONGEST_PART: Final = 240
"""Bytes of a file's or a folder's name: the same 255, less what a file is called while it is written."""
LONGEST_KEY: Final = 1024
"""Bytes of a file's path in its pipeline. Windows and macOS take about as much for a whole path."""
DEEPEST: Final = 32
"""Folders in each other: more than any package has."""
MOST_FILES: Final = 1000
"""Files of one deploy: each is written, and can be put back."""
MOST_BYTES: Final = 64 << 20
"""Bytes of all files of one deploy, which are in memory at once. Models belong on a disk of the server."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""What ends or turns a line, where a name is shown in it."""
_TAKEN: Final = frozenset(("undeploy",))
"""``POST undeploy/run`` undeploys the pipeline ``run``. Of every other route of the server's own, those that a pipeline
of its name has can be told apart."""
_DEVICES: Final = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$"]
    + [f"{name}{number}" for name in ("com", "lpt") for number in range(10)]
)
"""What Windows takes for a device, with any suffix. Source: Microsoft, "Naming Files, Paths, and Namespaces"."""


def check_name(name: str) -> str:
    """Give *name* back if a pipeline may be called so. Raises `PipelineError`."""
    if not name:
        raise PipelineError("A pipeline needs a name")
    why = _wrong_with(name, LONGEST_NAME)
    if why is None and (name.startswith(".") or name == "__pycache__"):
        why = "is hidden or a cache, which is passed over at the next start"
    if why is None and name in _TAKEN:
        why = f"is taken: POST /{name}/run means something else"
    if why is not None:
        raise PipelineError(
            f"Invalid pipeline name {_shown(name)}: it {why}. A pipeline has a single name without path separators"
        )
    return name


def check_keys(files: Mapping[str, bytes]) -> None:
    """Raise `PipelineError` unless all *files* can lie in one folder, by their keys: paths with ``/`` between."""
    if len(files) > MOST_FILES:
        raise PipelineError(f"{len(files)} files are too many for one pipeline: at most {MOST_FILES}")
    size = sum(map(len, files.values()))
    if size > MOST_BYTES:
        raise PipelineError(f"The files have {size} bytes together: at most {MOST_BYTES} can be deployed")
    as_files: dict[str, str] = {}  # each by the name that a file system without upper and lower case has for it
    as_folders: dict[str, str] = {}
    for key in files:
        parts = _parts(key)
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth])
            other = as_folders.setdefault(_same_for_any_system(folder), folder)
            if other != folder:
                raise PipelineError(f"The folders {other!r} and {folder!r} are one folder on some systems. Rename one")
        other = as_files.setdefault(_same_for_any_system(key), key)
        if other != key:
            raise PipelineError(f"The files {other!r} and {key!r} are one file on some systems. Rename one")
    both = as_files.keys() & as_folders.keys()
    if both:
        raise PipelineError(f"{as_files[min(both)]!r} is a file and a folder, too. Rename one")


def encode_file(content: bytes) -> str | dict[str, str]:
    """*content* as requests that deploy hold it (`deploy_requests`): a text wherever it is UTF-8, else base64."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"encoding": "base64", "content": base64.b64encode(content).decode()}


def _parts(key: str) -> list[str]:
    """The parts of a file's key, each of which may be a file's name."""
    wrong = f"Invalid file {_shown(key)}: "
    rule = ". Files are relative paths inside the pipeline's folder, without traversal"
    if not key or len(key.encode(errors="replace")) > LONGEST_KEY:
        raise PipelineError(f"{wrong}its path is empty or longer than {LONGEST_KEY} bytes{rule}")
    parts = key.split("/")
    if len(parts) > DEEPEST:
        raise PipelineError(f"{wrong}it lies in more than {DEEPEST} folders{rule}")
    for part in parts:
        why = "has an empty part" if not part else _wrong_with(part, LONGEST_PART)
        if why is not None:
            raise PipelineError(f"{wrong}it {why}{rule}")
    return parts


def _wrong_with(part: str, longest: int) -> str | None:
    """What keeps *part* from being the name of one file or folder on any system; None if nothing does."""
    if part in (".", ".."):
        return "leads to another folder"
    if "/" in part or "\\" in part:
        return "holds a path separator"
    if ":" in part:
        return "holds a colon, which names a drive or a stream on Windows"
    if _CONTROL.search(part):
        return "holds a control character"
    if part != part.strip() or part.endswith("."):
        return "begins or ends with a space, or ends with a dot"
    try:
        size = len(part.encode())
    except UnicodeEncodeError:
        return "holds half a character (a lone surrogate)"
    if size > longest:
        return f"is longer than {longest} bytes"
    if os.name == "nt" and part.split(".")[0].lower() in _DEVICES:
        return "is a device on Windows"
    return None


def _same_for_any_system(path: str) -> str:
    """One text for all spellings that a file system may take for one: of any case, and however accents are composed."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def _shown(text: str) -> str:
    return repr(text if len(text) <= 100 else f"{text[:100]}...")  # enough to know it again
