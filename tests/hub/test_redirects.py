"""No address that the hub gives to a browser leads to another host."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.hub.redirects import here, is_below
from tests.security.addresses import ASTRAY, origin_of

BASE = "http://hub.example:8888/a/b?c"
HERE = "http://hub.example:8888"


@pytest.mark.parametrize(
    ("location", "origin"),
    [
        ("/x", HERE),
        ("x/y", HERE),
        ("?//evil.example", HERE),
        ("/.//evil.example", HERE),
        ("/%5cevil.example", HERE),
        ("http:x", HERE),
        ("http:/x", HERE),
        ("", HERE),
        ("//evil.example/x", "http://evil.example"),
        ("/\\evil.example", "http://evil.example"),
        ("/\t/evil.example", "http://evil.example"),
        (" \n//evil.example", "http://evil.example"),
        ("https:evil.example", "https://evil.example"),
        ("https:/\\evil.example", "https://evil.example"),
        ("//user@evil.example:80?x", "http://evil.example:80"),
        ("java\nscript:alert(1)", "javascript:"),
    ],
)
def test_the_tests_read_an_address_as_a_browser_does(location: str, origin: str) -> None:
    assert origin_of(location, BASE) == origin


@given(
    st.one_of(st.sampled_from(ASTRAY), st.text("/\\\t\n\r .:@?#%25cfexampl\x00\xa0", max_size=20), st.text(max_size=20))
)
def test_an_address_leads_to_the_host_that_was_asked(path: str) -> None:
    """Whatever the path is, a browser that is given what `here` makes of it stays on the host."""
    location = here(path.encode("latin-1", "replace")).decode("ascii")
    assert origin_of(location, BASE) == HERE
    assert location.isprintable()


@pytest.mark.parametrize("path", ["/", "/a%2Fb?x=1&y=%26#z", "/.//x", "/a//b", "/~a;b=1/@c:d!$&'()*+,", '/[a]/{b}|^`"'])
def test_an_ordinary_address_stays_as_it_is(path: str) -> None:
    assert here(path.encode()) == path.encode()


@pytest.mark.parametrize("root", ["/", "/portico/", "/base/portico/apps/", "/apps/cat/"])
@pytest.mark.parametrize("path", ASTRAY)
def test_no_page_below_a_root_is_elsewhere(root: str, path: str) -> None:
    for target in (path, root + path, root + path.lstrip("/"), root.rstrip("/") + path):
        if is_below(target, root):
            assert origin_of(target, BASE) == HERE
            assert target.startswith(root)


@pytest.mark.parametrize(
    ("target", "below"),
    [
        ("/apps/cat/", True),
        ("/apps/cat/a/b?next=//x/../y#/../z", True),
        ("/apps/cat/a//b", True),
        ("/apps/cat/...", True),
        ("/apps/cat", False),
        ("/apps/cat/../dog/", False),
        ("/apps/cat/%2e%2e/dog/", False),
        ("/apps/cat/.%2E", False),
        ("/apps/cat/./", False),
        ("/apps/cat/a b", False),
        ("/apps/cat/\\x", False),
        ("/apps/cat/\xe9", False),
        ("/apps/cat/" + "x" * 8000, False),
        ("", False),
    ],
)
def test_what_is_below(target: str, below: bool) -> None:
    assert is_below(target, "/apps/cat/") == below


def test_a_host_of_its_own_has_every_path_but_that_of_another_host() -> None:
    assert is_below("/", "/")
    assert is_below("/a//b", "/")
    assert not is_below("//evil.example/", "/")
    assert not is_below("//", "/")
