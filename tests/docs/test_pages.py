"""What holds for every page: links lead somewhere, and nothing in it belongs to one machine or one registry."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.docs.pages import DOCS, PAGES, ROOT, anchors, links, name

# Hosts that packages are fetched from: people use mirrors, and `pip` knows where it looks.
_REGISTRIES = re.compile(r"pypi|pythonhosted|npmjs|yarnpkg|anaconda\.org|crates\.io|debian\.org", re.IGNORECASE)
# Folders of a person's or a build's machine. /usr and /etc are everyone's.
_MACHINE = re.compile(r"(?<![\w.}>)])/(?:home|Users|root|work|tmp|opt|mnt|srv)/|[A-Z]:\\")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_resolve(page: Path):
    for link in links(page):
        parts = urlsplit(link)
        if parts.scheme:
            assert parts.scheme in ("https", "http"), link
            continue
        target = (page.parent / parts.path).resolve() if parts.path else page
        assert target.exists(), f"{name(page)} links to {link}"
        assert target.is_relative_to(ROOT), link
        if parts.fragment:
            assert parts.fragment in anchors(target), f"{name(page)} links to {link}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_page_names_a_registry_or_a_machine(page: Path):
    text = page.read_text("utf-8")
    assert not _REGISTRIES.findall(text)
    assert not _MACHINE.findall(text)


def test_every_page_can_be_reached_from_the_readme():
    reached, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        todo += [
            (page.parent / urlsplit(link).path).resolve()
            for link in links(page)
            if not urlsplit(link).scheme and urlsplit(link).path and (page.parent / urlsplit(link).path).is_file()
        ]
    assert set(PAGES) <= reached


def test_the_index_lists_every_page():
    listed = {(DOCS / urlsplit(link).path).resolve() for link in links(DOCS / "README.md")}
    assert {page for page in PAGES if page.is_relative_to(DOCS)} - {DOCS / "README.md"} <= listed
