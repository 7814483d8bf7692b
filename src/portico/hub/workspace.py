"""One tenant of a hub, for both edges: a hub in Jupyter is one workspace, a relay has many."""

from __future__ import annotations

import logging
from collections.abc import Callable

from portico.hub.callers import Identities
from portico.hub.config import HubConfig
from portico.hub.control import Control
from portico.hub.enforcer import Enforcer
from portico.hub.gateway import Gateway
from portico.hub.keys import KeyRing
from portico.hub.links import Links
from portico.hub.registry import Registry
from portico.hub.tools.base import ToolLimits, WorkspaceTools
from portico.hub.visits import Visits

logger = logging.getLogger(__name__)


class Workspace:
    """What it serves, who may see it, and how it is managed. Links and visits may be those of many."""

    def __init__(
        self,
        config: HubConfig,
        links: Links,
        keys: KeyRing,
        identities: Identities,
        visits: Visits,
        url_of: Callable[[str], str],
        *,
        name: str = "",
        uid: str | None = None,
        identity: str = "",
        anonymous: bool = False,
        tool_limits: ToolLimits | None = None,
    ) -> None:
        """*url_of* gives a service's URL, or its path on this server, by its name; *tool_limits* are for all workspaces
        of a hub, its own by default.

        *uid* tells the workspace from another of its *name*; None for one that no store knows. *identity* is both as
        one text, to which what browsers are given to show is bound. In an *anonymous* one nobody has signed in.
        """
        self.name = name
        self.uid = uid
        self.anonymous = anonymous
        self.registry = Registry(config)
        self.registry.interstitial = anonymous
        self.keys = keys
        self.gateway = Gateway(config, self.registry, keys, identities, visits, Enforcer(identity))
        self.tools = WorkspaceTools(self.gateway, self.registry, tool_limits)
        self.control = Control(config, self.registry, links, keys, url_of)

    async def synchronize_keys(self) -> None:
        """Read the keys as other processes left them, and write what is not written; a failure is logged."""
        try:
            await self.keys.synchronize()
        except Exception:  # a disk that is full now may not be in a moment, and others' keys are looked after meanwhile
            logger.exception("the keys%s could not be read or written", f" of {self.name}" if self.name else "")
