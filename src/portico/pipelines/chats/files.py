"""The OpenAI API's ``POST files`` over pipelines: a file is given to the first wrapper that takes files.

Here: reading the form, calling ``run_file_upload``, and the file object. Nothing is kept: what becomes of a file is the
wrapper's affair, and where no wrapper takes files, it is nowhere.

Source: OpenAI API reference, "Upload file", "The file object"; Hayhooks 2.1 for the texts of errors.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from portico.calls.exchange import Exchange, Leaving, new_id, now
from portico.calls.held import OF_A_CALLER, IncomingBody
from portico.calls.run import THREADS, Items, drive, runs_on_loop
from portico.errors import FunctionError, PorticoError, UnusableOutput, UnusableRequest
from portico.functions.request import Intake, read_form
from portico.functions.values.off_loop import off_loop
from portico.functions.values.uploads import CallFiles, UploadedFile, base_name
from portico.models.app import route_of
from portico.models.engine import OnError
from portico.models.wire import answer_error
from portico.pipelines.chats.chat import is_files
from portico.pipelines.chats.openai_errors import as_answer, failure, told
from portico.pipelines.deployment import Deployment
from portico.pipelines.deployments import Deployments
from portico.types import Receive, Scope, Send

log = logging.getLogger(__name__)

MOST_BYTES: Final = OF_A_CALLER * 3 // 4
"""Of one file. Its wrapper gets it whole, so it is held in memory for as long as that runs, as a part of what one
caller may hold; beside it, the next one comes in."""

MOST_PURPOSE: Final = 1000
"""Bytes of a form's text: there is only ``purpose``, and what clients say of when the file expires."""

_AROUND: Final = 64 * 1024
"""Bytes of a form besides its file: text, and what stands between its parts."""

_INTAKE = Intake(max_upload=MOST_BYTES + _AROUND, max_body=MOST_PURPOSE, json=False, form=True)


class FilesRoute:
    """An ASGI app for the files of the pipelines that are deployed."""

    def __init__(self, deployments: Deployments, on_error: OnError | None = None) -> None:
        """*on_error* is called with each exception of a wrapper, for its author; by default it is logged."""
        self._deployments = deployments
        self._report = on_error

    def handles(self, method: str, route: str) -> bool:
        """Whether a request with *method* to *route*, a path below the root without slashes at its ends, is its own."""
        return is_files(route.removeprefix("v1/"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI 3.0)."""
        exchange = Exchange(scope, receive, send, [])
        try:
            await self._answer(exchange)
        except EOFError:
            log.debug("The visitor left while sending %s", exchange.id)
        except PorticoError as error:
            await answer_error(exchange, told(error))

    async def _answer(self, exchange: Exchange) -> None:
        if route_of(exchange.scope) != "files":
            raise UnusableRequest("Not Found", 404, code="unknown_url")
        if exchange.scope["method"] != "POST":
            raise UnusableRequest("Method Not Allowed", 405, code="method_not_allowed", headers=((b"allow", b"POST"),))
        if not exchange.headers.get("content-type", "").lower().startswith("multipart/form-data"):
            raise UnusableRequest(
                "Field required: 'file'. Send a form (multipart/form-data) with 'file' and 'purpose'.",
                422,
                field="file",
                code="missing",
            )
        with CallFiles() as files, IncomingBody(exchange.scope) as held:
            file, purpose = _parts(await read_form(exchange, _INTAKE, files))
            taker = next((one for one in self._deployments.present.values() if one.upload is not None), None)
            known = {
                "id": new_id("file-"),
                "object": "file",
                "bytes": file.size,
                "created_at": now(),
                "filename": base_name(file.filename),
                "purpose": purpose,
                "status": "processed",
            }
            if taker is None:
                log.warning(
                    "The file %r went nowhere: no pipeline here has run_file_upload, which takes files.",
                    known["filename"],
                )
                await exchange.json(known)
                return
            held.grow(file.size)
            content = await off_loop(file.read)
            async with Leaving(exchange.receive):
                await exchange.json(await self._upload(taker, known, file.content_type or None, content))

    async def _upload(
        self, taker: Deployment, known: dict[str, Any], content_type: str | None, content: bytes
    ) -> dict[str, Any]:
        """What the wrapper makes of the file. Raises `FunctionError`."""
        upload = taker.upload
        assert upload is not None
        sink = Items()
        try:
            await drive(
                lambda: upload(known["filename"], content_type, content, known["purpose"]),
                runs_on_loop(upload),
                sink,
                threads=THREADS,
                iterate=lambda produced: None,
            )
            return _file_object(sink.items[0], known)
        except (Exception, SystemExit) as error:
            answer = as_answer(error)
            if answer is not None:
                raise answer from error
            self._tell(taker.name, error)
            raise error if isinstance(error, FunctionError) else failure("File upload failed: ", error) from error

    def _tell(self, name: str, error: BaseException) -> None:
        """Show the author an exception."""
        if self._report is None:
            log.error("The pipeline %r failed to take a file", name, exc_info=error)
            return
        try:
            self._report(error)
        except Exception:  # the hook is not ours, and its failure must not hide the wrapper's
            log.exception("on_error failed on %r", error)


def _parts(form: Mapping[str, list[Any]]) -> tuple[UploadedFile, str]:
    """The file and the purpose of a form. Raises `UnusableRequest` with status 422."""
    for name in ("file", "purpose"):
        if name not in form:
            raise UnusableRequest(f"Field required: {name!r}.", 422, field=name, code="missing")
    file, purpose = form["file"][-1], form["purpose"][-1]
    if not isinstance(file, UploadedFile):
        raise UnusableRequest("'file' must be a file, with a name of its own.", 422, field="file")
    if not isinstance(purpose, str):
        raise UnusableRequest("'purpose' must be a text.", 422, field="purpose")
    return file, purpose


_TYPES: Final[Mapping[str, type]] = {"id": str, "bytes": int, "created_at": int, "purpose": str, "status": str}


def _file_object(given: Any, known: dict[str, Any]) -> dict[str, Any]:
    """The file object: what the wrapper says of it, and what is known for what it does not say."""
    dump = getattr(given, "model_dump", None)
    if dump is not None and not isinstance(given, type):
        given = dump(mode="json")
    if not isinstance(given, Mapping):
        raise FunctionError("", "run_file_upload returned an unsupported type")
    made = {**known, **given, "object": "file"}
    for name, wanted in _TYPES.items():
        if not isinstance(made[name], wanted) or isinstance(made[name], bool):
            raise UnusableOutput(f"run_file_upload gave {name!r} as {type(made[name]).__name__}, not {wanted.__name__}")
    return made
