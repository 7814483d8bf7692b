"""A JupyterHub for tests, as `jupyterhub --config` reads it. Its proxy is left out: `tests.security.test_jupyterhub`
sends each path where the proxy would, so that no Node is needed.
"""

# ruff: noqa: F821 -- JupyterHub gives `c`
# mypy: ignore-errors

from __future__ import annotations

import os
import sys

from jupyterhub.proxy import Proxy


class NoProxy(Proxy):
    """Keeps the table of routes, and serves nothing."""

    should_start = False

    def __init__(self, **settings):
        super().__init__(**settings)
        self.routes = {}

    async def add_route(self, routespec, target, data):
        self.routes[routespec] = {"routespec": routespec, "target": target, "data": data}

    async def delete_route(self, routespec):
        self.routes.pop(routespec, None)

    async def get_all_routes(self):
        return self.routes


c.JupyterHub.proxy_class = NoProxy
c.JupyterHub.bind_url = os.environ["TEST_PUBLIC_URL"]
c.JupyterHub.hub_bind_url = os.environ["TEST_HUB_URL"]
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.DummyAuthenticator.password = "password"
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = os.path.join(os.getcwd(), "home-{username}")
c.Spawner.cmd = [sys.executable, "-m", "jupyterhub.singleuser"]
c.Spawner.args = ["--allow-root"]
c.Spawner.ip = "127.0.0.1"
c.Spawner.port = int(os.environ["TEST_USER_PORT"])
c.Spawner.env_keep = ["PATH", "PYTHONPATH", "VIRTUAL_ENV", "LANG"]
c.JupyterHub.services = [{"name": "tests", "api_token": os.environ["TEST_API_TOKEN"]}]
c.JupyterHub.load_roles = [
    {"name": "tests", "services": ["tests"], "scopes": ["admin:users", "admin:servers", "tokens", "access:servers"]}
]
