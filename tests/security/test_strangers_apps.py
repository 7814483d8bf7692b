"""An app of somebody who did not sign in, on a real relay: what a browser is told before its first page."""

from __future__ import annotations

import re

import pytest

from tests.security.relays import Site
from tests.security.visitor import Answer, ask

NAVIGATIONS = {
    "a link": ("GET", {"Accept": "text/html"}),
    "a form": ("POST", {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}),
    "a form over plain http": ("POST", {"Accept": "text/html,*/*", "Upgrade-Insecure-Requests": "1"}),
    "a form that says */*": ("POST", {"Accept": "*/*", "Sec-Fetch-Dest": "document"}),
    "a frame": ("GET", {"Accept": "*/*", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}),
    "an object": ("GET", {"Accept": "*/*", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "object"}),
    "a prefetch": ("GET", {"Accept": "*/*", "Sec-Purpose": "prefetch"}),
    "a piece": ("GET", {"Accept": "text/html", "Range": "bytes=0-"}),
}


@pytest.mark.parametrize("how", NAVIGATIONS)
def test_a_browser_is_told_first_and_then_led_to_the_page_by_get(site: Site, how: str) -> None:
    place = site.app("echo-public", site.stranger)
    method, headers = NAVIGATIONS[how]
    form = {"Content-Type": "application/x-www-form-urlencoded", "Origin": "https://evil.example"}
    said = headers | (form if method == "POST" else {})
    told = ask(place, "a/b?c=d", method, said, b"x=y" if method == "POST" else None)
    assert told.status == 403
    assert b"Someone you may not know made this" in told.body
    assert b"echo" not in told.body.replace(b"echo-public", b"")
    assert (b"send it again" in told.body) is (method == "POST")
    action, target = (re.search(pattern, told.body.decode()) for pattern in (r'action="([^"]+)"', r'value="([^"]+)"'))
    assert action is not None
    assert target is not None
    own = {"Content-Type": "application/x-www-form-urlencoded", "Origin": f"http://{place.authority}"}
    base = place.base.rstrip("/")
    went = ask(place, action[1].removeprefix(base + "/"), "POST", own, f"next={target[1]}".encode())
    assert went.status == 303
    assert went.one("location") == f"{base}/a/b?c=d"
    cookie = {"Cookie": went.one("set-cookie").partition(";")[0]}
    assert _is_apps(ask(place, "a/b?c=d", headers=headers | cookie))


def test_programs_are_not_held_up(site: Site) -> None:
    place = site.app("echo-public", site.stranger)
    for method in ("GET", "POST"):
        for headers in ({}, {"Accept": "*/*"}, {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}):
            assert _is_apps(ask(place, "", method, headers, b"x" if method == "POST" else None))


def _is_apps(answer: Answer) -> bool:
    return answer.status == 200 and b'"identity"' in answer.body
