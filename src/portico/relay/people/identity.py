"""Who a relay's visitors may be: users who signed in on a service's root, members of its workspace."""

from __future__ import annotations

from dataclasses import replace

from portico.hub.access import NOBODY, Recognised
from portico.hub.callers import Identities
from portico.hub.firewall.headers import VISITOR_COOKIE, is_own_cookie
from portico.hub.visits import Visit
from portico.relay.people.accounts import Accounts
from portico.relay.people.doorway import Doorway, login_path
from portico.relay.rows import identity_of

_HAS_COOKIE = VISITOR_COOKIE.encode()


class RelayIdentities(Identities):
    """The users of one workspace."""

    def __init__(
        self,
        workspace: str,
        accounts: Accounts,
        doorway: Doorway,
        own_cookies: frozenset[str],
        own_tokens: tuple[bytes, ...],
    ) -> None:
        """*own_cookies* are those of the relay's own pages, *own_tokens* what its configuration holds."""
        self._workspace = workspace
        self._accounts = accounts
        self._doorway = doorway
        self._own_cookies = own_cookies
        self._own_tokens = own_tokens

    async def recognise(self, visit: Visit) -> Recognised:
        signed_in = self._doorway.visitor(self._workspace, visit)
        if signed_in is None or (signed_in.session and not self._accounts.is_live(signed_in.session)):
            return NOBODY
        if signed_in.workspace != identity_of(self._workspace, self._accounts.uid_of(self._workspace)):
            return NOBODY
        account = self._accounts.get(signed_in.user.id)
        if account is None or not self._accounts.may_enter(account, self._workspace):
            return NOBODY
        return Recognised(user=replace(signed_in.user, email=account.email))

    def has_credentials(self, visit: Visit) -> bool:
        for name, value in visit.request.headers:  # noqa: SIM110 -- asked of every request: a generator costs three times this
            if name == b"cookie" and _HAS_COOKIE in value:
                return True
        return False

    def has_valid_xsrf(self, visit: Visit) -> bool:
        return False

    def is_hub_cookie(self, name: str) -> bool:
        return is_own_cookie(name) or name in self._own_cookies

    def own_tokens(self) -> tuple[bytes, ...]:
        return self._own_tokens

    def login_url(self, visit: Visit) -> str | None:
        return login_path(visit)
