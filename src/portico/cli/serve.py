"""Give an app or a function a URL, for as long as this runs.

The app is named as uvicorn has it, module:app. A function (module:predict), a list or dict of functions, or an object
with typed methods becomes a page with a form, a REST API and tools for agents; with --chat, chat models. So does a
pipeline (module:pipe), or the wrapper of one (module:MyWrapper).

With --server-url it is served by that relay, from here, with no port opened; without, on this machine alone. Ctrl-C
takes it down; SIGTERM leaves its name to the next start.
"""

from __future__ import annotations

import argparse

_VISIBLE = "Others on this machine see it in the list of processes"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("app", metavar="MODULE:APP", help="the app or the functions, such as myapp:app")
    parser.add_argument("--id", default="", help="its name in the URL; made from the app's without it")
    parser.add_argument("--name", default="", help="its name for people")

    where = parser.add_argument_group("where")
    where.add_argument("--server-url", metavar="URL", default="", help="the relay; else PORTICO_RELAY, else none")
    where.add_argument("--workspace", default="", help="the workspace; the token's own without it")
    where.add_argument(
        "--token", default="", help=f"a provider's token. {_VISIBLE}: set PORTICO_TOKEN instead, or use --login"
    )
    where.add_argument("--login", action="store_true", help="log in in a browser, if that was not done before")
    where.add_argument("--disable-ssl", action="store_true", help="do not check the server's certificate")
    where.add_argument("--host", default="127.0.0.1", help="without a relay: the address to listen on (%(default)s)")
    where.add_argument("--port", type=int, default=None, help="without a relay: the port (8000, or a free one)")
    where.add_argument("--replace", action="store_true", help="take the name over from who serves it")
    where.add_argument("--replica", action="store_true", help="stand beside who serves it, and share its requests")

    who = parser.add_argument_group("who may open it")
    who.add_argument(
        "--access",
        choices=("public", "key", "private"),
        default="public",
        help="public: whoever has the link; key: keys alone; private: the workspace's users, and keys (%(default)s)",
    )
    who.add_argument("--origin", action="append", default=[], help="another origin whose pages may call it (CORS)")
    who.add_argument("--expires", metavar="TIME", default=None, help="until when: 30m, 2h, 7d")
    who.add_argument("--password", default=None, help=f"a password for visitors. {_VISIBLE}: use --password-prompt")
    who.add_argument("--password-prompt", action="store_true", help="ask for that password here")
    who.add_argument("--cidr", action="append", default=[], help="a network to open it to, such as 10.0.0.0/8")
    who.add_argument("--rate", default=None, help="requests of one visitor in a time, such as 60/min")
    who.add_argument("--concurrency", type=int, default=None, help="requests at once")
    who.add_argument("--max-body", type=int, metavar="BYTES", default=None, help="the longest body of a request")

    app = parser.add_argument_group("the app")
    app.add_argument(
        "--chat",
        action="store_true",
        help="it is a function, or several, to be served as chat models, and not as functions",
    )
    app.add_argument(
        "--inputs",
        nargs="+",
        action="extend",
        metavar="NAME:COMPONENT.SOCKET",
        default=[],
        help="of a Haystack pipeline: what callers give, such as question:prompt.query (all that it asks for)",
    )
    app.add_argument(
        "--outputs",
        nargs="+",
        action="extend",
        metavar="NAME:COMPONENT.SOCKET",
        default=[],
        help="and what they get, such as answer:llm.replies (all that it gives)",
    )
    app.add_argument(
        "--set",
        nargs="+",
        action="extend",
        dest="settings",
        metavar="KEY=VALUE",
        default=[],
        help="of a pipeline's wrapper: what its setup is given",
    )
    app.add_argument(
        "--mount",
        choices=("root_path", "strip"),
        default=None,
        help="strip: tell it paths without the service's own, if it answers all with 404 (as suits it)",
    )
    app.add_argument(
        "--threads", type=int, default=40, help="requests that a WSGI app (Flask) works on at a time (%(default)s)"
    )
    app.add_argument("--factory", action="store_true", help="it is a function that makes the app")
    app.add_argument("--app-dir", metavar="DIR", default="", help="where its module is (the working directory)")
    app.add_argument("--env-file", metavar="FILE", default="", help="set environment variables from this file first")
    app.add_argument("--reload", action="store_true", help="start it anew when a Python file changes")
    app.add_argument("--reload-dir", metavar="DIR", action="append", default=[], help="watch this folder instead")
    app.add_argument(
        "--timeout-graceful-shutdown",
        type=float,
        metavar="SECONDS",
        default=3.0,
        help="for requests in flight at the end (%(default)g)",
    )


def run(options: argparse.Namespace) -> int:
    from portico.cli.settings import prepare

    settings = prepare(options)
    if options.reload:
        from portico.cli.reload import supervise

        return supervise(options, settings)
    from portico.cli.serving import serve

    return serve(options, settings)
