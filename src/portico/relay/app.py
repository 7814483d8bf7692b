"""The relay as an ASGI app, and as an app with its server: what commands and other programs call."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from portico.relay.config import RelayConfig
from portico.relay.relay import Relay


def create_app(
    config: RelayConfig | None = None,
    *,
    flags: Mapping[str, object] | None = None,
    config_file: str | Path | None = None,
) -> Relay:
    """The ASGI app of a relay with *config*, or with what flags, the environment and a TOML file say.

    Any ASGI server runs it (``uvicorn portico.relay:create_app --factory``); ``portico relay`` runs it with deadlines,
    and faster. Raises `portico.errors.InvalidOption`.
    """
    return Relay(config or RelayConfig.load(flags, toml_path=config_file))
