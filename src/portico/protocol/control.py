"""The reserved service by which a hub asks a provider for what only the provider knows (docs/protocol.md, "Control").

Here is what both ends have to agree on. What is answered, and to whom, is decided in `portico.provider.control`.
"""

from __future__ import annotations

from typing import Final

SERVICE: Final = ".control"
"""What an OPEN names. No service has such a name, for it begins with a dot (`portico.types.service_name`), and so no
visitor, key or model can mean it."""

FEATURE: Final = "control"
"""In the ``features`` of HELLO: this provider answers such streams."""
