"""A Jupyter server extension with the three native ways to say hello: what Portico is compared with.

Handlers are added the way any extension does it. The empty delegate stands in front of all rules: nothing in
a Jupyter server can answer with less work, so it bounds what Portico's edge could reach.
"""

from collections.abc import Awaitable
from typing import Any

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from tornado import httputil, web
from tornado.routing import PathMatches, Rule

from benchmarks.app import HELLO


class BareHandler(web.RequestHandler):
    def get(self) -> None:
        self.set_header("Content-Type", "text/plain")
        self.finish(HELLO)


class AuthenticatedHandler(JupyterHandler):
    @web.authenticated
    def get(self) -> None:
        self.set_header("Content-Type", "text/plain")
        self.finish(HELLO)


class EmptyDelegate(httputil.HTTPServerConnectionDelegate):
    def start_request(self, server_conn: object, request_conn: httputil.HTTPConnection) -> httputil.HTTPMessageDelegate:
        return EmptyAnswer(request_conn)


class EmptyAnswer(httputil.HTTPMessageDelegate):
    def __init__(self, connection: httputil.HTTPConnection) -> None:
        self.connection = connection

    def headers_received(
        self,
        start_line: httputil.RequestStartLine | httputil.ResponseStartLine,
        headers: httputil.HTTPHeaders,
    ) -> Awaitable[None] | None:
        return None

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        return None

    def finish(self) -> None:
        answer = httputil.ResponseStartLine("HTTP/1.1", 200, "OK")
        self.connection.write_headers(answer, httputil.HTTPHeaders({"Content-Length": "0"}))
        self.connection.finish()

    def on_connection_close(self) -> None:
        pass


def _load_jupyter_server_extension(server_app: Any) -> None:
    application, base_url = server_app.web_app, server_app.web_app.settings["base_url"]
    application.add_handlers(
        ".*$",
        [
            (url_path_join(base_url, "/bench/request-handler"), BareHandler),
            (url_path_join(base_url, "/bench/jupyter-handler"), AuthenticatedHandler),
        ],
    )
    delegated = PathMatches(url_path_join(base_url, "/bench/delegate"))
    application.default_router.rules.insert(0, Rule(delegated, EmptyDelegate()))
