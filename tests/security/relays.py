"""Places on a relay that a visitor may ask, and a browser that signs in there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlencode, urljoin, urlsplit

from tests.live_relay import ALICE, PASSWORD, RelayProcess
from tests.relay.tenants import Tenant
from tests.security.visitor import Answer, Headers, ask


@dataclass(frozen=True)
class Place:
    """A root on a relay: a service's, a workspace's models, or (with no base and no host) the relay's own pages."""

    port: int
    base: str = "/"
    host: str = ""

    @property
    def authority(self) -> str:
        return self.host or f"127.0.0.1:{self.port}"


@dataclass(frozen=True)
class Site:
    """A relay with what `conftest.site` serves."""

    tenant: Tenant
    stranger: Tenant
    """Another workspace."""

    @property
    def relay(self) -> RelayProcess:
        return self.tenant.relay

    @property
    def by_host(self) -> bool:
        return bool(self.relay.config.domain)

    @property
    def own(self) -> Place:
        """The relay's own pages."""
        return Place(self.relay.port, host=urlsplit(self.relay.config.base_url).netloc)

    def app(self, name: str, tenant: Tenant | None = None) -> Place:
        url, host = (tenant or self.tenant).service(name)
        return Place(self.relay.port, urlsplit(url).path, host)

    def models(self) -> Place:
        url, host = self.tenant.models()
        return Place(self.relay.port, urlsplit(url).path + "/", host)


class Browser:
    """Keeps cookies, follows redirects, and fills in the relay's form. Every name leads to 127.0.0.1."""

    def __init__(self, relay: RelayProcess) -> None:
        self._relay = relay
        self.set: list[tuple[str, str]] = []
        """Every cookie it was given: the host, and the Set-Cookie header."""

    def cookies(self, host: str) -> dict[str, str]:
        """Those of *host*, whatever their path."""
        return {
            name: value
            for given, header in self.set
            if given == host
            for name, _, value in (header.partition(";")[0].partition("="),)
        }

    def go(self, url: str, method: str = "GET", form: dict[str, str] | None = None) -> tuple[str, Answer]:
        """Where it ends, and what is there."""
        for _ in range(15):
            parts = urlsplit(url)
            target = parts.path[1:] + (f"?{parts.query}" if parts.query else "")
            cookies = "; ".join(f"{name}={value}" for name, value in self.cookies(parts.netloc).items())
            headers = {"Accept": "text/html"} | ({"Cookie": cookies} if cookies else {})
            body = None
            if form is not None:
                headers |= {
                    "Content-Type": "application/x-www-form-urlencoded",
                    "Origin": f"{parts.scheme}://{parts.netloc}",
                }
                body = urlencode(form).encode()
            answer = ask(Place(self._relay.port, host=parts.netloc), target, method, headers, body)
            self.set += [(parts.netloc, header) for header in answer.all("set-cookie")]
            if answer.status not in (302, 303):
                return url, answer
            url, method, form = urljoin(url, answer.one("location")), "GET", None
        raise AssertionError(f"round and round: {url}")

    def sign_in(self, service_url: str) -> tuple[str, Answer]:
        """Go to a private service, by way of the relay's form."""
        url, page = self.go(service_url)
        hidden = dict(re.findall(rb'<input type="hidden" name="(\w+)" value="([^"]*)"', page.body))
        fields = {name.decode(): value.decode().replace("&amp;", "&") for name, value in hidden.items()}
        assert "form_token" in fields, page.body
        return self.go(urljoin(url, "/portico/login"), "POST", {**fields, "name": ALICE, "password": PASSWORD})


def bearer(token: str) -> Headers:
    return {"Authorization": f"Bearer {token}"}
