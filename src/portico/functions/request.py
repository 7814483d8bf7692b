"""What a request to a function holds: its arguments by name, from JSON, from a form with files, or from a query.

Here: the body's media type, and its size. Not here: how a text stands for a value (`texts`), what a value must be
(`calling` validates), and what a file becomes (`values`). What cannot be used is an `UnusableRequest`, which goes to
the visitor as it is.

Source: RFC 9110 §8.3; RFC 7578 "multipart/form-data"; Fetch Metadata (``Sec-Fetch-Site``).
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from portico.calls.body import load, read_body, too_large
from portico.calls.exchange import Exchange
from portico.calls.held import IncomingBody
from portico.errors import UnusableRequest
from portico.functions.texts import any_text, values_of
from portico.functions.typed import TypedFunction
from portico.functions.values.uploads import CallFiles
from portico.types import Receive

if TYPE_CHECKING:
    from starlette.datastructures import FormData

    from portico.functions.form import FormReader

THREADS = sys.platform != "emscripten"

MAX_BODY = 32 * 2**20
"""Bytes of a JSON body, and of all text in a form: what is held whole, and becomes several times as much in memory."""

MAX_UPLOAD = 2**30 if THREADS else 64 * 2**20
"""Bytes of a form with its files. They are written to a disk as they come; a browser tab has none but its memory."""

MAX_FILES = 100
"""Files of a form: each takes a file descriptor, of which a process has some thousand."""

MAX_FIELDS = 1000
"""Parts of a form that are no files, and arguments of a query: more than any function has parameters."""

URL_ENCODED = "application/x-www-form-urlencoded"
"""What a form without files may come as (URL Standard §5)."""

IN_MEMORY = 256 * 1024 if THREADS else MAX_UPLOAD
"""Bytes of a file that stay in memory: so the files of one form take 25 MiB at most. In a tab nothing is spooled, as
writing to a file needs a thread there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """What a route takes of requests."""

    max_body: int = MAX_BODY
    max_upload: int = MAX_UPLOAD
    json: bool = True
    """Whether arguments may come as JSON."""
    form: bool = False
    """Whether they may come as a form (``multipart/form-data``)."""
    fields: bool = False
    """Whether a form without files may come as ``application/x-www-form-urlencoded``, too."""


def intake_of(typed: TypedFunction) -> Intake:
    """JSON for all functions, forms for those that take files."""
    return Intake(form=any(parameter.upload for parameter in typed.parameters))


async def read_body_arguments(
    exchange: Exchange, typed: TypedFunction, intake: Intake, files: CallFiles
) -> dict[str, Any]:
    """The arguments by name, as they came in the body; each file is added to *files*.

    Raises `UnusableRequest`: 400 for what cannot be read, 403 for another site's form, 413 for too much, 415 for
    another media type; `EOFError` if the visitor leaves.
    """
    headers = exchange.headers
    content_type = headers.get("content-type", "")
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "application/json" or (media_type[:12] == "application/" and media_type[-5:] == "+json"):
        if not intake.json:
            raise _unsupported(intake, media_type)
        raw = await read_body(exchange.receive, headers, intake.max_body, exchange.scope)
        return json_arguments(raw) if raw.strip() else {}
    if intake.fields and media_type == URL_ENCODED:
        _refuse_other_sites(headers)
        return _pairs(await read_body(exchange.receive, headers, intake.max_body, exchange.scope), typed, "form")
    if media_type and not (intake.form and media_type == "multipart/form-data"):
        raise _unsupported(intake, media_type)
    if media_type:
        return values_of(await read_form(exchange, intake, files), typed)
    _refuse_other_sites(headers)
    if await read_body(exchange.receive, headers, intake.max_body, exchange.scope):
        raise _unsupported(intake, "")
    return {}


def json_arguments(raw: bytes) -> dict[str, Any]:
    """The JSON object that *raw* is. Raises `UnusableRequest`: 400 for what is not JSON, 422 for another value."""
    value = load(raw, may_hold_nul=any_text)
    if not isinstance(value, dict):
        raise UnusableRequest("The body must be a JSON object: a value for each parameter.", 422, code="object_type")
    return value


def query_arguments(query: bytes, typed: TypedFunction) -> dict[str, Any]:
    """The arguments by name in a *query*. Raises `UnusableRequest` with status 400 for one that is none."""
    return _pairs(query, typed, "query")


def _pairs(raw: bytes, typed: TypedFunction, what: str) -> dict[str, Any]:
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:  # not UTF-8, or too many
        raise UnusableRequest(f"The {what} is not UTF-8, or has more than {MAX_FIELDS} arguments.") from None
    texts: dict[str, list[Any]] = {}
    for name, text in pairs:
        texts.setdefault(name, []).append(text)
    return values_of(texts, typed)


def _unsupported(intake: Intake, media_type: str) -> UnusableRequest:
    taken = ["application/json"] * intake.json + ["multipart/form-data"] * intake.form
    came = f"{media_type[:100]!r} is not taken here" if media_type else "The request does not say what its body is"
    accepted = ((b"accept-post", ", ".join(taken).encode()),)  # W3C LDP §7.1, as RFC 9110 §15.5.16 suggests
    message = f"{came}: send {' or '.join(taken)}, and name it in Content-Type."
    return UnusableRequest(message, 415, code="content_type", headers=accepted)


def _refuse_other_sites(headers: Mapping[str, str]) -> None:
    """A form of any site can be sent here without asking first, as JSON cannot: no page of another site runs code so.

    Browsers say where a request comes from: to https and to localhost by ``Sec-Fetch-Site``, to others by ``Origin``
    alone. Programs say neither.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is None:
        is_own = origin is None or _host_of(origin) == _host_of(f"//{headers.get('host', '')}")
    else:
        is_own = site in ("none", "same-origin")
    if not is_own:
        raise UnusableRequest(
            "Another site's page may not send a form here: it can send application/json.", 403, code="cross_site"
        )


def _host_of(url: str) -> str:
    """The host of a URL with its port, if that is not a usual one; "" for what has none, as the Origin ``null``."""
    host = url.partition("//")[2].lower()
    return host.removesuffix(":80").removesuffix(":443")


# --- forms ----------------------------------------------------------------------------------------------------------


async def read_form(exchange: Exchange, intake: Intake, files: CallFiles) -> dict[str, list[Any]]:
    """The parts of a form by name, texts and files; each file is added to *files*.

    Raises `UnusableRequest`: 400 for what cannot be read, 403 for another site's form, 413 for too much, 415 for what
    is no form; `EOFError` if the visitor leaves.
    """
    from starlette.datastructures import UploadFile

    media_type = exchange.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "multipart/form-data":
        raise _unsupported(intake, media_type)
    _refuse_other_sites(exchange.headers)
    parts: dict[str, list[Any]] = {}
    for name, part in (await _parse_form(exchange, intake)).multi_items():
        given: Any = part
        if isinstance(part, UploadFile):
            given = files.add(part.filename or "", part.content_type or "", part.file, part.size)
            if not part.filename and not part.size:
                continue  # what browsers send for a field where nothing was chosen
        parts.setdefault(name, []).append(given)
    return parts


async def _parse_form(exchange: Exchange, intake: Intake) -> FormData:
    if find_spec("python_multipart") is None:  # in a tab: nowhere else are functions served without it
        raise UnusableRequest(
            "Forms cannot be read here, for want of the package python-multipart: send JSON, with files in base64.",
            501,
            code="form",
        )
    from portico.functions.form import FormReader

    announced = exchange.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > intake.max_upload:
        raise too_large(intake.max_upload)
    if exchange.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnusableRequest("A form cannot be compressed as a whole.", 415, code="content_encoding")
    with IncomingBody(exchange.scope) as held:
        reader = FormReader(
            exchange.headers["content-type"],
            _chunks(exchange.receive, intake.max_upload),
            most_files=MAX_FILES,
            most_fields=MAX_FIELDS,
            most_text=intake.max_body,
            in_memory=IN_MEMORY,
            grow=held.grow,
        )
        return await _read(reader, intake)


async def _read(reader: FormReader, intake: Intake) -> FormData:
    from portico.functions.form import BrokenForm, TooMuchText

    try:
        return await reader.parse()
    except TooMuchText:
        raise UnusableRequest(
            f"The form's text is longer than {intake.max_body} bytes; send it as a file.", 413, code="request_too_large"
        ) from None
    except BrokenForm as error:
        raise UnusableRequest(f"The form cannot be read: {error}", 400, code="form") from None
    except OSError as error:  # a full disk
        raise UnusableRequest("There is no room here to keep the files of this form.", 507, code="no_room") from error


async def _chunks(receive: Receive, limit: int) -> AsyncIterator[bytes]:
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise EOFError
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise too_large(limit)
        more = message.get("more_body", False)
        if chunk:
            yield chunk
