"""All models behind one base URL: requests under ``/portico/v1`` go to the service whose model the body names.

The body is kept until its ``model`` is found, and then passed on as it comes; everything after that is an ordinary
exchange of `portico.jupyter.edge`.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import unquote_to_bytes

from tornado.httputil import HTTPMessageDelegate, HTTPServerConnectionDelegate

from portico.hub import catalog
from portico.hub.access import ANONYMOUS
from portico.hub.answers import Answer, unauthorized
from portico.hub.gateway import Caller, VisitorRequest
from portico.hub.headers import cors_headers, preflight_headers
from portico.hub.model_field import Found, ModelField, NotAnObject
from portico.jupyter.edge import Edge, VisitorDelegate
from portico.protocol import Kind

_MOST_HELD = 32 * 1024 * 1024
"""Bytes of a body that are kept while its ``model`` has not come: SDKs send ``messages``, images and all, before it."""


class ModelsEdge(HTTPServerConnectionDelegate):
    """The target of the rule for ``/portico/v1``."""

    def __init__(self, edge: Edge, path: str) -> None:
        """*path* is the base URL's, without a slash at its end."""
        self._edge = edge
        self._path = path.encode("latin-1")

    def start_request(self, server_conn: object, request_conn: Any) -> HTTPMessageDelegate:
        return _ModelsDelegate(self._edge, request_conn, self._path)


class _ModelsDelegate(VisitorDelegate):
    """One request to whichever service has the model."""

    __slots__ = ("_caller", "_field", "_path", "_rest")

    def __init__(self, edge: Edge, connection: Any, path: bytes) -> None:
        super().__init__(edge, connection)
        self._path = path
        self._rest = b""
        """What follows the base URL: ``/chat/completions``."""
        self._caller: Caller | None = None
        self._field: ModelField | None = None

    def _route(self, request: VisitorRequest) -> Any:
        path, _, request.query = request.target.partition(b"?")
        self._rest = path[len(self._path) :]
        request.raw_path = b"/v1" + (self._rest or b"/")
        if self._rest and not self._rest.startswith(b"/"):
            raise Answer(404, "not_found", "The models are under /portico/v1/.")
        if request.kind is Kind.WEBSOCKET:
            raise Answer(501, "not_supported", "WebSockets are at the URL of the service that has the model.")
        self._cross_origin(request)
        return asyncio.ensure_future(self._identify(request))

    def _cross_origin(self, request: VisitorRequest) -> None:
        """Speak CORS for origins that a service with models names."""
        fields = dict(request.headers)
        origin = fields.get(b"origin", b"")
        allowed = bool(origin) and catalog.origin_allowed(self._edge.hub.registry, origin.decode("latin-1"))
        if request.method == "OPTIONS" and origin and b"access-control-request-method" in fields:
            if allowed:
                raise Answer(204, "preflight", "", headers=tuple(preflight_headers(fields, origin)))
            raise unauthorized("A preflight from another origin is answered for services that name it in origins.")
        if allowed:
            request.cors_origin = origin

    async def _identify(self, request: VisitorRequest) -> None:
        try:
            caller = await self._edge.hub.gateway.identify(request)
            if request.method in ("GET", "HEAD"):
                self._list(caller)
            elif request.method != "POST" or self._fin:
                raise Answer(400, "missing_model", "POST a JSON object that names its model.")
            else:
                if caller.visitor is ANONYMOUS and not catalog.models(self._edge.hub.registry, ANONYMOUS):
                    raise unauthorized()  # before anything of a stranger's body is held
                self._caller, self._field = caller, ModelField()
                self._continue()
        except Answer as answer:
            if not self._gone:
                self.answer(answer)

    def _list(self, caller: Caller) -> None:
        """``GET models`` and ``GET models/{id}``."""
        known = catalog.models(self._edge.hub.registry, caller.visitor)
        if not known and caller.visitor is ANONYMOUS:
            raise unauthorized()
        parts = self._rest.strip(b"/").split(b"/", 1)
        value: dict[str, Any]
        if parts == [b"models"]:
            value = {"object": "list", "data": known}
        elif parts[0] == b"models":
            name = unquote_to_bytes(parts[1]).decode("utf-8", "replace")
            entry = catalog.resolve(self._edge.hub.registry, caller.visitor, name)
            value = catalog.model_object(entry, name)
        elif parts == [b"health"]:
            value = {"status": "ok"}
        else:
            raise Answer(
                404, "not_found", "There is no such route here; stored responses are at their service's own URL."
            )
        body = json.dumps(value).encode()
        headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
        if self._request is not None and self._request.cors_origin:
            headers += cors_headers(self._request.cors_origin)
        self.respond(200, headers, body, True)

    # --- the body --------------------------------------------------------------------------------------------

    def data_received(self, chunk: bytes) -> Any:
        field = self._field
        if field is None or self._finished or self._forward is not None:
            return super().data_received(chunk)
        try:
            found = field.feed(chunk)
            if found is not None:
                return asyncio.ensure_future(self._pass_on(found))
            if len(field.body) > _MOST_HELD:
                raise Answer(413, "too_large", f"The model was not named within {_MOST_HELD} bytes.")
        except NotAnObject as error:
            self.answer(Answer(400, "invalid_body", f"{str(error).capitalize()}."))
        except Answer as answer:
            self.answer(answer)
        return None

    def finish(self) -> None:
        if self._field is not None and self._forward is None and not self._finished:
            self._body_done = True
            self.answer(Answer(400, "invalid_body", "The body ends before it names its model."))
            return
        super().finish()

    async def _pass_on(self, found: Found) -> None:
        """The model is known: let the visitor in to its service, and pass on what has come of the body."""
        gateway, registry = self._edge.hub.gateway, self._edge.hub.registry
        request, caller, field = self._request, self._caller, self._field
        assert request is not None
        assert caller is not None
        assert field is not None
        try:
            entry = catalog.resolve(registry, caller.visitor, found.value)
            admission = gateway.admit_caller(request, caller, entry.service)
            body = bytes(field.body) if entry.model == found.value else field.replaced(entry.model)
            _lengthen(request, len(body) - len(field.body))
            request.name = entry.service.descriptor.name
            request.root_path = (request.prefix + request.name.encode()).decode("latin-1")
            while not self._gone and not self._open(request, admission):
                await gateway.ready(entry.service)
            if self._forward is not None:
                wait = self._forward.upload(body)
                if wait is not None:
                    await wait
        except Answer as answer:
            if answer.status == 404 and caller.visitor is ANONYMOUS:
                answer = unauthorized()
            if not self._gone:
                self.answer(answer)


def _lengthen(request: VisitorRequest, difference: int) -> None:
    """Make Content-Length true again after the model's name was changed."""
    if difference:
        request.headers = [
            (name, str(int(value) + difference).encode())
            if name == b"content-length" and value.isdigit()
            else (name, value)
            for name, value in request.headers
        ]
