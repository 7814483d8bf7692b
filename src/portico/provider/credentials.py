"""What ``portico login`` keeps: a token for each relay, in a file that its owner alone can read.

Blocking, and small. What is not here: how a token is asked for (`portico.cli.login`), and which one is used
(`portico.provider.discovery`).
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from portico.errors import InvalidOption

FILE_VARIABLE = "PORTICO_CREDENTIALS"
"""Names another file."""

_MAX = 1024 * 1024  # bytes of the file that are read


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A provider's token for one relay. Times are seconds since 1970; ``expires`` is 0 where it is not known."""

    url: str
    """Of the relay; ends with a slash."""
    token: str
    workspace: str = ""
    user: str = ""
    expires: float = 0.0
    saved: float = 0.0

    def __repr__(self) -> str:
        return f"Credential({self.url!r}, workspace={self.workspace!r})"  # never the token

    @property
    def expired(self) -> bool:
        return 0 < self.expires <= time.time()


def path(environ: Mapping[str, str] | None = None) -> Path:
    """Where the file is: in the user's configuration directory (XDG, Apple's or Windows' own).

    Raises `InvalidOption` for a user that has no home.
    """
    environ = os.environ if environ is None else environ
    if named := environ.get(FILE_VARIABLE, ""):
        return Path(named)
    try:
        return _default_path(environ)
    except RuntimeError:  # in a container, as a user that it does not know
        raise InvalidOption(f"this user has no home folder: name a file for logins by {FILE_VARIABLE}") from None


def _default_path(environ: Mapping[str, str]) -> Path:
    if sys.platform == "win32":
        folder = Path(environ.get("APPDATA", "") or Path.home() / "AppData" / "Roaming")
    elif sys.platform == "darwin":
        folder = Path.home() / "Library" / "Application Support"
    else:
        given = environ.get("XDG_CONFIG_HOME", "")
        folder = Path(given) if given.startswith("/") else Path.home() / ".config"
    return folder / "portico" / "credentials.json"


def load(environ: Mapping[str, str] | None = None) -> dict[str, Credential]:
    """All of them, by URL, the newest last. None where there is no file. Raises `InvalidOption` for a broken one."""
    try:
        where = path(environ)
    except InvalidOption:  # without a home nothing can have been kept
        return {}
    try:
        with where.open("rb") as file:
            content = json.loads(file.read(_MAX))
        found = [
            Credential(
                url=str(url),
                token=str(entry["token"]),
                workspace=str(entry.get("workspace", "")),
                user=str(entry.get("user", "")),
                expires=float(entry.get("expires", 0)),
                saved=float(entry.get("saved", 0)),
            )
            for url, entry in content["relays"].items()
        ]
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise InvalidOption(f"the credentials cannot be read: {error}") from None
    except (ValueError, OverflowError, KeyError, TypeError, AttributeError, RecursionError):
        raise InvalidOption(f"{where} is no file of credentials; remove it, and log in again") from None
    return {credential.url: credential for credential in sorted(found, key=lambda one: one.saved)}


def save(credential: Credential, environ: Mapping[str, str] | None = None) -> Path:
    """Keep *credential* in the place of any other for its URL; returns where."""
    known = load(environ)
    known[credential.url] = credential
    return _write(known, environ)


def forget(url: str, environ: Mapping[str, str] | None = None) -> Credential | None:
    """Keep the credential for *url* no longer; returns it, if there was one."""
    known = load(environ)
    gone = known.pop(url, None)
    if gone is not None:
        _write(known, environ)
    return gone


def _write(credentials: Mapping[str, Credential], environ: Mapping[str, str] | None) -> Path:
    where = path(environ)
    relays = {
        url: {key: value for key, value in asdict(one).items() if key != "url"} for url, one in credentials.items()
    }
    where.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A new file, for its owner alone: at no moment may another user read it, and none has laid it out.
    descriptor, name = tempfile.mkstemp(prefix=f"{where.name}.", dir=where.parent)
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({"relays": relays}, file, indent=2)
        draft.replace(where)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return where
