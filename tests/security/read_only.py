"""An authorizer of Jupyter's by which nobody changes anything of Portico's, as an administrator may write one."""

from __future__ import annotations

from typing import Any

from jupyter_server.auth.authorizer import Authorizer


class ReadOnly(Authorizer):
    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        return resource != "portico" or action != "write"
