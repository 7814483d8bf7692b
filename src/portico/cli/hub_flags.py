"""Of which hub the pipelines of ``portico run`` are services: the flags, and what they come to.

Here: nothing that is slow to import. Not here: what keeps a hub's services as the pipelines are (`hub_services`).
"""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from portico.errors import InvalidOption
from portico.provider import discovery
from portico.provider.discovery import HubAddress

if TYPE_CHECKING:
    from portico.pipelines.deploying.startup import Tell
    from portico.pipelines.settings import PipelinesSettings

ACCESS = ("private", "key", "public")

MakeApp = Callable[["PipelinesSettings", "Tell"], Any]
"""Makes the FastAPI app of one process."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags that say of which hub the pipelines are services, besides being served by a server of their own."""
    hub = parser.add_argument_group(
        "as services of a hub",
        "In a terminal or a cell of a Jupyter server each pipeline is a service of that, too; or of a relay.",
    )
    hub.add_argument("--server-url", metavar="URL", default="", help="the relay (portico login says who you are)")
    hub.add_argument("--workspace", default="", help="the relay's workspace; the token's own without it")
    hub.add_argument(
        "--access",
        choices=ACCESS,
        default="private",
        help="who may call them there: private (the hub's users, and keys), key, public (%(default)s)",
    )
    hub.add_argument("--no-hub", action="store_true", help="serve on the server's own port alone")


def hub_of(options: argparse.Namespace, environ: Mapping[str, str] | None = None) -> HubAddress | None:
    """The hub that pipelines are to be services of: the relay that is named, or the Jupyter server around.

    That is the one that started this kernel, or the one whose terminal this is. None if neither is there. Raises
    `InvalidOption` or `NoHub` for a relay that cannot be used.
    """
    if options.no_hub:
        if options.server_url:
            raise InvalidOption("--server-url and --no-hub: choose one")
        return None
    if options.server_url:
        return discovery.find_relay(options.server_url, workspace=options.workspace, environ=environ)
    if options.workspace:
        raise InvalidOption("--workspace is a relay's: name it with --server-url")
    return discovery.around(environ)


def with_hub(make_app: MakeApp, options: argparse.Namespace) -> MakeApp:
    """What makes the app of one process, so that its pipelines are services of the hub that *options* mean, too.

    With several processes each is a replica of the same services. Raises as `hub_of` does.
    """
    address = hub_of(options)
    return make_app if address is None else partial(_make_joined, make_app, address, options.access)


def _make_joined(make_app: MakeApp, address: HubAddress, access: str, settings: PipelinesSettings, tell: Tell) -> Any:
    app: Any = make_app(settings, tell)
    alone: Callable[[Any], AbstractAsyncContextManager[Any]] = app.router.lifespan_context
    from portico.cli.hub_services import hub_services
    from portico.provider.options import Options

    options = Options(access=access, replica=settings.workers > 1)

    @asynccontextmanager
    async def joined(of: Any) -> AsyncIterator[Any]:
        async with alone(of) as state, hub_services(app.pipelines.deployments, address, options=options):
            yield state

    app.router.lifespan_context = joined
    return app
