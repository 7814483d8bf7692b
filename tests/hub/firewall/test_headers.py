"""The firewall, both ways: what may not pass does not, however it is written; everything else passes unchanged."""

from __future__ import annotations

import time

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.hub.firewall import headers
from portico.hub.firewall.spellings import secrets_of
from portico.hub.keys import MARK, KeyRing, MemoryKeyStore
from portico.types import Headers

TOKEN = KeyRing(MemoryKeyStore()).mint_provider("some-kernel").encode()
OWN: Headers = [(b"x-forwarded-for", b"192.0.2.7")]


def is_hub_cookie(name: str) -> bool:
    return name in ("_xsrf", "portico_key") or name.startswith("username-")


def drop(name: bytes, value: bytes) -> bool:
    return name in (b"_xsrf", b"portico_key") or (name == b"token" and b"secret" in value)


def towards_app(*given: tuple[bytes, bytes], drop_authorization: bool = False) -> Headers:
    return headers.request_headers(
        list(given),
        drop_authorization=drop_authorization,
        is_hub_cookie=is_hub_cookie,
        drop_arguments=drop,
        forwarded=OWN,
    )[: -len(OWN)]


def towards_visitor(*given: tuple[bytes, bytes], own_cors: bool = False, root_path: str = "/apps/cat") -> Headers:
    return headers.response_headers(list(given), root_path=root_path, is_hub_cookie=is_hub_cookie, own_cors=own_cors)


# --- towards the app --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        b"connection", b"keep-alive", b"te", b"transfer-encoding", b"upgrade", b"proxy-authorization", b"trailer",
        b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-prefix", b"x-forwarded-proto",
        b"x-forwarded-port", b"x-forwarded-user", b"x-forwarded-anything-new", b"x-real-ip", b"x-xsrftoken",
        b"x_forwarded_for", b"x-forwarded_host", b"x_xsrftoken", b"x_real_ip", b"x-original-url", b"x-rewrite-url",
        b"x_original_url", b"x-original-host", b"x-client-ip", b"cf-connecting-ip", b"true-client-ip",
        b"x-cluster-client-ip", b"x-forwarded", b"forwarded_for", b"client-ip", b"fastly-client-ip", b"remote-user",
        b"remote_user", b"x-remote-user", b"x_remote_group", b"x-auth-request-email", b"ssl_client_s_dn",
        b"ssl-client-verify", b"x-ssl-client-cert", b"client-cert", b"x-forwarded-client-cert", b"proxy",
        b"script_name", b"x-script-name", b"path-info", b"x-host", b"x-sendfile-type", b"x-accel-mapping",
        b"x-webauth-user", b"tailscale-user-login", b"x-ms-client-principal-name", b"x-amzn-oidc-identity",
        b"x-scheme", b"front-end-https", b"x-forward-for", b"x-forward-proto", b"x_forward_host", b"forwarded-proto",
        b"x-forwardedfor", b"x-true-client-ip", b"incap-client-ip", b"x-sucuri-clientip", b"cdn-src-ip",
        b"x-vercel-forwarded-for", b"fly-forwarded-proto", b"cloudfront-viewer-address", b"x-appengine-https",
        b"x-envoy-original-path", b"x-envoy-internal", b"x-arr-ssl", b"x-waws-unencoded-url", b"request_uri",
        b"x-ingress-path", b"x-consumer-username", b"x-userinfo", b"x-jwt-assertion", b"x-ms-token-aad-id-token",
        b"x-amzn-request-context", b"https",
    ],
)  # fmt: skip
def test_what_is_the_hubs_or_this_hops_is_dropped(name: bytes) -> None:
    assert towards_app((b"accept", b"*/*"), (name, b"forged")) == [(b"accept", b"*/*")]


def test_the_hubs_own_forwarding_headers_come_last_and_alone() -> None:
    passed = headers.request_headers(
        [(b"connection", b"x-forwarded-for, x-secret"), (b"x-forwarded-for", b"1.2.3.4"), (b"x-secret", b"1")],
        drop_authorization=False,
        is_hub_cookie=is_hub_cookie,
        drop_arguments=drop,
        forwarded=OWN,
    )
    assert passed == OWN


def test_what_connection_names_is_dropped() -> None:
    given = [(b"connection", b"close, X-Hop"), (b"x-hop", b"1"), (b"x-end", b"2")]
    assert towards_app(*given) == [(b"x-end", b"2")]


def test_authorization_passes_unless_it_was_the_hubs() -> None:
    basic = (b"authorization", b"Basic dXNlcjpwYXNz")
    assert towards_app(basic) == [basic]
    assert towards_app(basic, drop_authorization=True) == []


@pytest.mark.parametrize(
    "pair",
    [
        (b"authorization", b"Bearer " + TOKEN),
        (b"authorization", b"bearer\t" + TOKEN),
        (b"authorization", b"Whatever key=" + TOKEN),
        (b"x-api-key", TOKEN),
        (b"api-key", b'"' + TOKEN + b'"'),
        (b"cookie", b"session=" + TOKEN),
        (b"referer", b"http://h/p#" + TOKEN),
        (b"referer", b"http://h/" + TOKEN.replace(b".", b"%2E") + b"/"),
        (b"sec-websocket-protocol", TOKEN),
    ],
)
def test_no_key_of_the_hub_passes_in_any_field(pair: tuple[bytes, bytes]) -> None:
    assert towards_app(pair) == []


def test_a_key_among_subprotocols_is_taken_out() -> None:
    offered = (b"sec-websocket-protocol", b"chat, key." + TOKEN + b", v2")
    assert towards_app(offered) == [(b"sec-websocket-protocol", b"chat, v2")]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (b"a=1; b=2", b"a=1; b=2"),
        (b"a=1; _xsrf=2|x|y; b=2", b"a=1; b=2"),
        (b"username-localhost-8888=x", b""),
        (b"portico_key=x; a=1", b"a=1"),
        (b" _xsrf =1;a=1", b"a=1"),
        (b"\xa0_xsrf=1; a=1", b"a=1"),
        (b"a=1;_xsrf", b"a=1"),
        (b'a="1; _xsrf=2"', b'a="1'),
        (b"", b""),
    ],
)
def test_cookies_of_the_hub_are_taken_out(given: bytes, kept: bytes) -> None:
    assert headers.clean_cookies(given, is_hub_cookie) == kept


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (b"a=b=c&d=%2F&&e", b"a=b=c&d=%2F&&e"),
        (b"token=secret", b""),
        (b"token=mine", b"token=mine"),
        (b"a=1;token=secret;b=2&c", b"a=1;b=2&c"),
        (b"a=1;b=2", b"a=1;b=2"),
        (b"_xsrf=1;_xsrf=2", b""),
        (b"%255Fxsrf=1&a", b"a"),
        (b"%2574oken=%2573ecret&a", b"a"),
        (b"x=2%7Cf6d3c553%7C9ab6a12bffbf36b8%7C1795988073&a", b"a"),
        (b"x=2|f6d3c553|9ab6a12bffbf36b8|1795988073&a", b"a"),
        (b"x=%2525&y=%2", b"x=%2525&y=%2"),
        (b"a=1&token=secret&b=2", b"a=1&b=2"),
        (b"%74oken=secret&a", b"a"),
        (b"token=%73ecret&a", b"a"),
        (b"token=+secret%00&a", b"a"),
        (b"_xsrf=1&a=%e6%97%a5", b"a=%e6%97%a5"),
        (b"%5fxsrf=1", b""),
        (b"portico%5Fkey=1&a=1", b"a=1"),
        (b"tokens=secret&x_xsrf=1", b"tokens=secret&x_xsrf=1"),
        (b"q=" + TOKEN, b""),
        (b"q=" + TOKEN.replace(b".", b"%2e") + b"&r=1", b"r=1"),
        (TOKEN + b"&r=1", b"r=1"),
    ],
)
def test_arguments_of_the_hub_are_taken_out(given: bytes, kept: bytes) -> None:
    assert headers.clean_query(given, drop) == kept


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (b"http://h/lab?a=1", b"http://h/lab?a=1"),
        (b"http://h/lab?token=anything", b"http://h/lab"),
        (b"http://h/lab?token=anything&a=1", b"http://h/lab?a=1"),
        (b"http://h/portico/apps/cat/?portico_key=k&x=1", b"http://h/portico/apps/cat/?x=1"),
        (b"http://h/login?next=%2Flab%3Ftoken%3Danything&a=1", b"http://h/login?a=1"),
        (b"http://h/p?a=1#frag", b"http://h/p?a=1#frag"),
    ],
)
def test_a_referer_tells_no_secret(given: bytes, kept: bytes) -> None:
    assert towards_app((b"referer", given)) == [(b"referer", kept)]


PLAIN_NAMES = st.sampled_from([b"accept", b"x-a", b"x-b", b"user-agent", b"content-type", b"dnt", b"x-xsrf", b"token"])
PLAIN_VALUES = st.binary(max_size=30).map(lambda value: value.replace(b"\r", b"").replace(b"\n", b""))


@given(st.lists(st.tuples(PLAIN_NAMES, PLAIN_VALUES), max_size=12))
def test_other_fields_pass_unchanged_in_order_and_with_doubles(given: Headers) -> None:
    assert towards_app(*given) == given


NAMES = st.sampled_from([*headers.HOP_BY_HOP, b"cookie", b"x_forwarded_for", b"x-forwarded-for", b"referer", b"a"])
SECRETS = st.sampled_from([TOKEN, b"_xsrf=1", b"username-x=1", b"?token=secret", b"; portico_key=", b"&", b"; ", b"a"])


@given(st.lists(st.tuples(NAMES, st.lists(SECRETS, max_size=6).map(b"".join)), max_size=8))
def test_whatever_is_given_no_cookie_and_no_key_of_the_hub_passes(given: Headers) -> None:
    for name, value in towards_app(*given):
        assert name not in headers.HOP_BY_HOP
        assert MARK not in value
        if name == b"cookie":
            for part in value.split(b";"):
                assert not is_hub_cookie(part.partition(b"=")[0].strip().decode())


@given(st.binary(max_size=60))
def test_any_query_and_any_cookie_are_read_without_an_error(data: bytes) -> None:
    headers.clean_query(data, drop)
    headers.clean_cookies(data, is_hub_cookie)
    headers.clean_referer(data, drop)
    headers.confine_cookie(data, "/apps/cat", is_hub_cookie)


def test_the_mark_is_in_every_key_and_token() -> None:
    claims = jwt.decode(TOKEN, options={"verify_signature": False})
    assert claims["iss"] == "portico"
    assert MARK in TOKEN
    assert not headers.holds_key(jwt.encode({"iss": "another", "sub": "x"}, "s" * 32).encode())


def cleaned(query: bytes, *given: tuple[bytes, bytes]) -> None:
    found: list[bytes] = []
    headers.request_headers(
        list(given),
        drop_authorization=False,
        is_hub_cookie=headers.is_own_cookie,
        drop_arguments=drop,
        forwarded=OWN,
        found=found,
    )
    assert len(found) <= 16
    headers.clean_query(headers.clean_query(query, drop), drop, secrets_of(*found))


@pytest.mark.parametrize(
    ("query", "given"),
    [
        (b"a=%41&" * 8000, (b"cookie", b"; ".join(b"portico_%d=%020d" % (i, i) for i in range(1600)))),
        (b"token&" + b"a=%2525;" * 7000, (b"x-a", b"%41" * 20_000)),
        (b"", (b"cookie", b"a=%25%32%35;" * 5000)),
        (b"", (b"cookie", b"a=\\101\\\\;" * 7000)),
        (b"", (b"authorization", b"Basic " + b"JTI1" * 16_000)),
        (b"", (b"referer", b"http://a/?token&" + b"a=%25;b&" * 6000 + b"#token&" + b"a=%25&" * 2000)),
        (b"_xsrf;" * 10_000, (b"x-a", b"%252525" * 9000)),
    ],
    ids=range(7),
)
def test_no_request_takes_long(query: bytes, given: tuple[bytes, bytes]) -> None:
    """64 KiB of the worst, which is what servers take at most, are through in a fraction of a second."""
    began = time.process_time()
    cleaned(query, given)
    assert time.process_time() - began < 0.5


# --- towards the visitor ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        b"connection", b"transfer-encoding", b"upgrade", b"keep-alive", b"service-worker-allowed", b"clear-site-data",
        b"strict-transport-security", b"alt-svc", b"nel", b"report-to", b"set-login", b"Clear-Site-Data",
        b"TRANSFER-ENCODING", b"x y", b"set-cookie ", b"", b"x:y", b"caf\xe9", b"x-accel-redirect",
        b"X-Accel-Redirect", b"x-accel-limit-rate", b"x-accel-expires", b"x-accel-charset", b"x-accel-buffering",
        b"x_accel_redirect", b"x-sendfile", b"X-Sendfile", b"x-sendfile2", b"x-sendfile-temporary",
        b"x-lighttpd-send-file", b"x-lighttpd-send-tempfile", b"x-litespeed-location", b"x-reproxy-url",
        b"x-proxy-pass", b"x-reproxy-file", b"x-archive-files", b"surrogate-control", b"surrogate-key",
        b"cdn-cache-control", b"cloudflare-cdn-cache-control", b"cache-tag", b"edge-control",
        b"x-envoy-immediate-health-check-fail", b"fly-replay", b"via", b"proxy-status", b"proxy-authenticate",
        b"proxy-connection", b"status", b"alt-used", b"expect-ct", b"public-key-pins", b"accept-ch", b"critical-ch",
        b"use-as-dictionary", b"set-cookie2", b"secure-session-registration", b"proxy_authenticate",
    ],
)  # fmt: skip
def test_what_speaks_for_the_whole_origin_is_dropped(name: bytes) -> None:
    assert towards_visitor((b"etag", b"1"), (name, b"x")) == [(b"etag", b"1")]


def test_what_a_page_or_a_program_may_say_for_itself_passes() -> None:
    own = [
        *((b"x-accel-buffering", b"no"), (b"x-accel-buffering", b" No"), (b"server-timing", b"db;dur=5")),
        *((b"x-frame-options", b"DENY"), (b"content-security-policy", b"default-src 'self'"), (b"refresh", b"5")),
        *((b"reporting-endpoints", b'a="/r"'), (b"www-authenticate", b'Basic realm="negotiate"'), (b"vary", b"*")),
        *((b"x-robots-tag", b"noindex"), (b"cache-control", b"public, s-maxage=5"), (b"location", b"//elsewhere/")),
        *((b"x-request-id", b"1"), (b"link", b"</a>; rel=preload"), (b"www-authenticate", b"Bearer")),
    ]
    assert towards_visitor(*own) == own


@pytest.mark.parametrize(
    "value", [b"Negotiate", b"negotiate YII=", b"NTLM", b'Basic realm="x", Negotiate', b"Digest a=1,ntlm", b" Kerberos"]
)
def test_no_app_asks_for_what_a_browser_gives_to_the_host(value: bytes) -> None:
    assert towards_visitor((b"etag", b"1"), (b"WWW-Authenticate", value)) == [(b"etag", b"1")]


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: _xsrf=1", b"a\nb", b"a\rb", b"a\0b"])
def test_a_value_that_would_end_its_line_is_dropped(value: bytes) -> None:
    assert towards_visitor((b"x-a", value), (b"location", value), (b"set-cookie", b"a=" + value)) == []


@pytest.mark.parametrize(
    ("given", "confined"),
    [
        (b"a=1", b"a=1; Path=/apps/cat/"),
        (b"a=1; Path=/", b"a=1; Path=/apps/cat/"),
        (b"a=1; path=/apps/cat/deep; HttpOnly", b"a=1; HttpOnly; Path=/apps/cat/deep"),
        (b"a=1; Path=/apps/cat", b"a=1; Path=/apps/cat"),
        (b"a=1; Path=/apps/catalogue", b"a=1; Path=/apps/cat/"),
        (b"a=1; Path=/apps/cat/../dog", b"a=1; Path=/apps/cat/"),
        (b"a=1; Path=/apps/cat/; Path=/", b"a=1; Path=/apps/cat/"),
        (b"a=1; Domain=example.com; Secure", b"a=1; Secure; Path=/apps/cat/"),
        (b"a=1; DOMAIN = example.com ;SameSite=None", b"a=1; SameSite=None; Path=/apps/cat/"),
        (b"_xsrf=1", None),
        (b" _xsrf =1", None),
        (b"\xa0_xsrf=1", None),
        (b"username-localhost-8888=1; Path=/apps/cat/", None),
        (b"portico_key=1", None),
        (b"=_xsrf=1", None),
        (b"_xsrf", None),
        (b"__Host-a=1; Secure; Path=/", None),
        (b"__host-a=1", None),
    ],
)
def test_a_cookie_is_kept_to_its_app(given: bytes, confined: bytes | None) -> None:
    passed = towards_visitor((b"set-cookie", given))
    assert passed == ([(b"set-cookie", confined)] if confined else [])
    assert towards_visitor((b"Set-Cookie", given)) == passed


@pytest.mark.parametrize(
    ("given", "confined"),
    [
        (b"__Host-a=1; Secure; Path=/", b"__Host-a=1; Secure; Path=/"),
        (b"__Host-a=1; Path=/; Domain=example.org", b"__Host-a=1; Path=/"),
        (b"a=1; Path=/deep; Domain=.example.org", b"a=1; Path=/deep"),
        (b"a=1", b"a=1; Path=/"),
        (b"__Host-portico_visitor=1; Secure; Path=/", None),
        (b"portico_pass=1", None),
    ],
)
def test_an_app_on_a_host_of_its_own_has_that_host(given: bytes, confined: bytes | None) -> None:
    assert headers.confine_cookie(given, "", headers.is_own_cookie) == confined


@given(st.lists(st.sampled_from([b"a=1", b";", b"Path=/", b"path=/apps/cat/x", b"Domain=x", b"_xsrf=1", b" ", b"="])))
def test_a_cookie_that_passes_names_one_path_which_is_the_apps_and_no_domain(parts: list[bytes]) -> None:
    confined = headers.confine_cookie(b"".join(parts), "/apps/cat", is_hub_cookie)
    if confined is not None:
        attributes = [part.strip().lower() for part in confined.split(b";")[1:]]
        paths = [part for part in attributes if part.startswith(b"path")]
        assert len(paths) == 1
        assert paths[0].startswith(b"path=/apps/cat/")
        assert not any(part.startswith(b"domain") for part in attributes)


def test_lengths_that_could_be_read_two_ways_do_not_pass() -> None:
    given = [(b"content-length", b"5"), (b"content-length", b"50")]
    assert towards_visitor(*given) == [(b"content-length", b"5")]
    assert towards_visitor((b"content-length", b"+5")) == []
    assert towards_visitor((b"Content-Length", b"5, 5")) == []


def test_cors_is_the_hubs_where_it_has_origins_and_the_apps_else() -> None:
    given = [(b"access-control-allow-origin", b"*"), (b"Access-Control-Allow-Credentials", b"true"), (b"etag", b"1")]
    assert towards_visitor(*given, own_cors=True) == [(b"etag", b"1")]
    assert len(towards_visitor(*given)) == 3


def test_a_preflight_is_answered_without_credentials_and_reflects_what_is_asked() -> None:
    asked = {b"access-control-request-headers": b"authorization, x-stainless-lang"}
    answer = dict(headers.preflight_headers(asked, b"https://chat.example"))
    assert answer[b"access-control-allow-origin"] == b"https://chat.example"
    assert answer[b"access-control-allow-headers"] == b"authorization, x-stainless-lang"
    assert b"access-control-allow-credentials" not in answer
    assert b"access-control-allow-credentials" not in dict(headers.cors_headers(b"https://chat.example"))


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("portico_key", True),
        ("portico_pass", True),
        ("__Host-portico_pass", True),
        ("__host-Portico_Visitor", True),
        ("__Secure-portico_state", True),
        ("portico_of_tomorrow", True),
        ("portico", False),
        ("my_portico_key", False),
        ("session", False),
    ],
)
def test_what_every_hub_takes_for_its_own(name: str, own: bool) -> None:
    assert headers.is_own_cookie(name) == own


def test_a_neighbour_cannot_set_a_cookie_of_a_host_of_its_own() -> None:
    given = [(b"cookie", b"portico_pass=neighbours; __Host-portico_pass=1"), (b"cookie", b"a=b; __Host-portico_pass=2")]
    assert list(headers.own_cookies(given, "portico_pass", "", "https")) == [b"1", b"2"]
    assert list(headers.own_cookies(given, "portico_pass", "", "http")) == [b"neighbours"]
    assert list(headers.own_cookies(given, "portico_pass", "/w/apps/cat", "https")) == [b"neighbours"]
    _, set_ = headers.set_own_cookie("portico_pass", "x", "", "https", 60)
    assert set_ == b"__Host-portico_pass=x; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure"
    _, set_ = headers.set_own_cookie("portico_pass", "x", "/w/apps/cat", "http", 60)
    assert set_ == b"portico_pass=x; Path=/w/apps/cat/; Max-Age=60; HttpOnly; SameSite=Lax"


def test_no_path_adds_an_attribute_to_a_cookie_of_the_hub() -> None:
    _, cookie = headers.set_own_cookie("portico_state", "x", "/w/apps/a;Domain=evil.example;b\t\xe9", "http", 60)
    path = b"Path=/w/apps/a%3BDomain=evil.example%3Bb%09%E9/"
    assert cookie.split(b"; ") == [b"portico_state=x", path, b"Max-Age=60", b"HttpOnly", b"SameSite=Lax"]


@pytest.mark.parametrize(
    "name", [b"content_length", b"set_cookie", b"Set_Cookie", b"www_authenticate", b"transfer_encoding"]
)
def test_no_name_passes_an_underscore_off_for_a_hyphen(name: bytes) -> None:
    """To what is read as CGI reads it, the field would be the one whose value was looked at."""
    assert towards_visitor((name, b"3"), (b"x_own", b"1")) == [(b"x_own", b"1")]
