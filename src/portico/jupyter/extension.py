"""The server extension: traitlets become a `HubConfig`, and the hub is put into the server."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_data_dir
from jupyter_server.extension.application import ExtensionApp
from tornado.routing import Rule
from traitlets import Bool, Enum, Float, Int, List, Unicode

from portico.bounded import BoundedCache
from portico.errors import Refused
from portico.hub.config import HubConfig
from portico.hub.descriptor import Principal
from portico.hub.hub import Hub
from portico.hub.keys import InvalidKey, KeyStore, MemoryKeyStore, SQLiteKeyStore
from portico.hub.tools.no_oauth import NAMES, WELL_KNOWN
from portico.hub.visits import Visit
from portico.jupyter.api import kernel_principal, routes, user_principal
from portico.jupyter.edge import Edge
from portico.jupyter.front_door import Hostile, Refuser
from portico.jupyter.heads import PrefixMatcher
from portico.jupyter.identity import JupyterIdentities
from portico.jupyter.kernels import Kernels
from portico.jupyter.models_edge import ModelsEdge
from portico.jupyter.tools_edge import NoOAuthEdge, ToolsEdge
from portico.protocol import Limits
from portico.provider.tls import fingerprint

_ACTIVITY_EVERY = 5.0  # seconds: culling looks at minutes
_KERNELS_NOTED = 1000  # kernels whose activity was noted last: more than a server has at a time


class PorticoApp(ExtensionApp):
    """Give what lives in a notebook a live URL."""

    name = "portico"
    extension_url = "/portico/"
    load_other_extensions = True

    allowed_access = List(
        Enum(("private", "key", "public")),
        default_value=["private", "key", "public"],
        help="The kinds of access that services may ask for: private (this server's users and keys), key (keys alone), "
        "public (whoever can reach this server).",
    ).tag(config=True)
    allowed_relays = List(
        Unicode(), default_value=["*"], help="URLs of the relays to which services may be shared; * for any."
    ).tag(config=True)
    max_key_lifetime = Float(90 * 86400.0, help="The longest that a key may last, in seconds.").tag(config=True)
    wait_for_provider = Float(
        10.0, help="Seconds that a request waits for a kernel whose link is being dialled again, before it gets 503."
    ).tag(config=True)
    hold_name = Float(60.0, help="Seconds that the name of a lost provider that is no kernel is held for it.").tag(
        config=True
    )
    identity_cache = Float(5.0, help="Seconds that a decision of the identity provider is believed.").tag(config=True)
    max_links = Int(1000, help="Providers at a time.").tag(config=True)
    max_links_of_user = Int(
        None, allow_none=True, help="Of one kernel or one user; a quarter of max_links by default."
    ).tag(config=True)
    max_new_links = Int(512, help="Links at a time that have not said who they are.").tag(config=True)
    max_services = Int(1000, help="Services at a time.").tag(config=True)
    max_services_of_user = Int(
        None, allow_none=True, help="Of one kernel or one user; three quarters of max_services by default."
    ).tag(config=True)
    max_streams = Int(4096, help="Requests in flight on one provider's link.").tag(config=True)
    max_held = Int(64 * 1024 * 1024, help="Bytes that one link's requests may hold in this server together.").tag(
        config=True
    )
    max_websocket_message = Int(16 * 1024 * 1024, help="Bytes of the longest WebSocket message, either way.").tag(
        config=True
    )
    max_keys = Int(10_000, help="Keys that have not expired, of one kernel or one user.").tag(config=True)
    hello_timeout = Float(5.0, help="Seconds that a new link has to say who it is.").tag(config=True)
    count_activity = Bool(
        True, help="Whether visitors' traffic counts as activity of its kernel and of the server, against culling."
    ).tag(config=True)
    data_dir = Unicode(
        "", help="Where keys are kept; portico/ in Jupyter's data directory by default. ':memory:' keeps none."
    ).tag(config=True)
    public_url = Unicode(
        "", help="This server's base URL as visitors know it, where it is not what the server itself believes."
    ).tag(config=True)

    hub: Hub

    def initialize_settings(self) -> None:
        server: Any = self.serverapp
        base_path = server.web_app.settings["base_url"].rstrip("/") + "/portico/"
        identities = JupyterIdentities(server.web_app, server.identity_provider, server.authorizer, self.identity_cache)
        store: KeyStore
        if self.data_dir == ":memory:":
            store = MemoryKeyStore()
        else:
            folder = Path(self.data_dir) if self.data_dir else Path(jupyter_data_dir()) / "portico"
            store = SQLiteKeyStore(folder / "keys.sqlite3")
        self._identities = identities
        self.hub = Hub(
            self._config(),
            store=store,
            identities=identities,
            authenticate=self._authenticate,
            kernel_lives=self._kernel_lives,
            base_path=base_path + "apps/",
            base_url=lambda: self._base_url() + "portico/apps/",
            welcome={"allowed_relays": list(self.allowed_relays)},
        )
        self.kernels = Kernels(
            server.kernel_manager,
            mint=self.hub.keys.mint_provider,
            hub_url=self._own_url,
            certificate=self._certificate(),
        )
        self.kernels.on_ended = lambda kernel_id: self.hub.links.kernel_ended(self.hub.registry, kernel_id)
        self.kernels.install()
        if self.count_activity:
            self.hub.visits.opened.subscribe(self._note_activity)
        self._last_noted: BoundedCache[str, float] = BoundedCache(_KERNELS_NOTED, None, oldest_first=True)
        edge = Edge(self.hub, identities, base_path, server.log, server.log_level)
        edge.tls_ends_before = self._base_url().startswith("https:")
        # the last that is inserted is asked first
        server.web_app.default_router.rules.insert(0, Rule(Hostile(base_path), Refuser(edge)))
        for prefix in (base_path + "link", base_path + "apps/"):
            server.web_app.default_router.rules.insert(0, Rule(PrefixMatcher(prefix), edge))
        models = base_path + "v1"
        server.web_app.default_router.rules.insert(0, Rule(PrefixMatcher(models), ModelsEdge(edge, models)))
        tools = base_path + "mcp"
        server.web_app.default_router.rules.insert(0, Rule(PrefixMatcher(tools), ToolsEdge(edge, tools)))
        roots = {"", server.web_app.settings["base_url"].rstrip("/")}
        for path in sorted(root + WELL_KNOWN + name for root in roots for name in NAMES):
            server.web_app.default_router.rules.insert(0, Rule(PrefixMatcher(path), NoOAuthEdge(edge)))
        server.web_app.settings["portico_hub"] = self.hub
        server.io_loop.add_callback(self.hub.start)

    def initialize_handlers(self) -> None:
        server: Any = self.serverapp
        base_path = server.web_app.settings["base_url"].rstrip("/") + "/portico/"
        server.web_app.add_handlers(".*$", routes(self.hub, self.kernels, base_path))

    async def stop_extension(self) -> None:
        await self.hub.stop()

    def _config(self) -> HubConfig:
        limits = Limits(max_streams=self.max_streams, max_held=self.max_held, hello_timeout=self.hello_timeout)
        return HubConfig(
            limits=limits,
            allowed_access=frozenset(self.allowed_access),
            max_key_lifetime=self.max_key_lifetime,
            wait_for_provider=self.wait_for_provider,
            hold_name=self.hold_name,
            max_links=self.max_links,
            max_links_of_user=self.max_links_of_user,
            max_new_links=self.max_new_links,
            max_services=self.max_services,
            max_services_of_user=self.max_services_of_user,
            max_keys=self.max_keys,
            max_websocket_message=self.max_websocket_message,
            identity_cache=self.identity_cache,
        )

    def _base_url(self) -> str:
        """The server's base URL, for people: as JupyterHub makes it public, or as the server prints it."""
        url = self.public_url or os.environ.get("JUPYTERHUB_PUBLIC_URL", "")
        return (url or self._own_url()).rstrip("/") + "/"

    def _own_url(self) -> str:
        """Where this server's own kernels find it."""
        server: Any = self.serverapp
        url: str = server.connection_url
        if server.ssl_options and url.startswith("http:"):  # Jupyter itself looks at `certfile` alone
            url = "https:" + url.removeprefix("http:")
        return url

    def _certificate(self) -> str:
        """SHA-256 (hex) of the certificate that this server shows; empty without TLS."""
        server: Any = self.serverapp
        options: dict[str, Any] = server.ssl_options or {}
        path = server.certfile or options.get("certfile")
        if not path:
            return ""
        try:
            return fingerprint(Path(path).read_text("latin-1"))
        except (OSError, ValueError) as error:
            server.log.warning("portico: the certificate %s cannot be read; kernels check it by name: %s", path, error)
            return ""

    async def _authenticate(self, token: str) -> Principal:
        """Who says HELLO: a kernel by its credential, or whoever holds a token of this server."""
        try:
            claims = self.hub.keys.verify_provider(token)
        except InvalidKey:
            user = await self._identities.user_of_token(token)
            if user is None:
                raise Refused("this token may not publish here; is it of this server?") from None
            # The server's own token is nobody's in particular: Jupyter makes up a name each time that it is asked. A
            # session that comes back must be the same provider all the same.
            shared = not token or self._identities.holds_hub_token(token.encode())
            return user_principal("anyone" if shared else user.id)
        if not self.kernels.knows(claims.kernel_id):
            raise Refused("this credential's kernel is not running on this server any more")
        return kernel_principal(claims.kernel_id, self.kernels.process(claims.kernel_id))

    async def _kernel_lives(self, kernel_id: str, process: int | None) -> bool:
        return await self.kernels.lives(kernel_id, process)

    def _note_activity(self, visit: Visit) -> None:
        assert visit.replica is not None
        kernel_id = visit.replica.session.principal.kernel_id
        now = visit.opened
        if now - self._last_noted.get(kernel_id, -_ACTIVITY_EVERY) >= _ACTIVITY_EVERY:
            self._last_noted.keep(kernel_id, now)
            settings = self.serverapp.web_app.settings
            settings.setdefault("last_activity_times", {})["portico"] = datetime.now(UTC)
            if kernel_id:
                self.kernels.active(kernel_id)
