"""Workspaces of a real relay, each with a provider of its own, and what a visitor needs to find them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from portico.provider import api
from portico.provider.discovery import HubAddress
from portico.provider.provider import Provider
from portico.provider.service import Service
from portico.provider.serving import serve
from tests.live_relay import ALICE, RelayProcess


class Tenant:
    """One workspace, which this process publishes in. Dials 127.0.0.1: not every resolver knows ``*.localhost``."""

    def __init__(self, relay: RelayProcess, workspace: str = ALICE) -> None:
        """*workspace* "" is an anonymous one."""
        self.relay = relay
        self.provider = Provider()
        self.hub = f"http://127.0.0.1:{relay.port}/"
        self.token = relay.token(workspace=workspace) if workspace else ""
        self._workspace = workspace

    def serve(self, app: Any, name: str, **options: Any) -> Service:
        return serve(app, name, hub=self.hub, token=self.token, provider=self.provider, **options)

    @property
    def workspace(self) -> str:
        """For an anonymous one: once something is served."""
        return self._workspace or str(self._session.hub_info["workspace"])

    @property
    def own_token(self) -> str:
        """The provider's token, of an anonymous one too."""
        return str(self._session.address.token)

    @property
    def _session(self) -> Any:
        return next(iter(self.provider.sessions.values()))

    def key(self, *services: str, expires: float = 600.0) -> str:
        address: HubAddress = self._session.address
        return api.make_key(address, [*services], expires)

    # --- where visitors find it: the URL to dial, with the address for the host, and the Host header -----------------

    def service(self, name: str) -> tuple[str, str]:
        return self._dial(self.relay.config.service_url(self.workspace, name))

    def models(self) -> tuple[str, str]:
        return self._dial(self.relay.config.models_url(self.workspace))

    def _dial(self, url: str) -> tuple[str, str]:
        parts = urlsplit(url)
        return f"http://127.0.0.1:{self.relay.port}{parts.path}", parts.netloc

    def leave(self) -> None:
        for service in [*self.provider.services.values()]:
            service.stop()
        self.provider.run(self.provider.leave(0.0, hold=False))
