"""The page at the base URL: for browsers only, and safe with whatever a model is called."""

import base64
import hashlib
import json
import re

import pytest

from portico.models import chat_server, model
from portico.models.page import base_of
from tests.models.visitor import ask

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
ODD = "</script><b>\u2028&\"'"


def cat(messages):
    return "meow"


@model(kind="embedding")
def vectors(texts):
    return [[1.0]] * len(texts)


APP = chat_server({"cat": cat, ODD: cat, "v": vectors})


def settings_of(answer):
    (text,) = re.findall(r'<script type="application/json" id=settings>(.*?)</script>', answer.body.decode(), re.DOTALL)
    return json.loads(text)


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/"])
def test_a_browser_gets_a_page_and_a_program_json(path):
    shown = ask(APP, "GET", path, headers=BROWSER)
    assert shown.headers["content-type"] == "text/html; charset=utf-8"
    assert int(shown.headers["content-length"]) == len(shown.body)
    for accept in ({}, {"Accept": "*/*"}, {"Accept": "application/json"}):
        told = ask(APP, "GET", path, headers=accept)
        assert told.json == {"object": "server", "models": ["cat", ODD, "v"], "openapi": "openapi.json"}
        assert told.headers["vary"] == shown.headers["vary"] == "accept"
    assert ask(APP, "HEAD", path, headers=BROWSER).body == b""


@pytest.mark.parametrize("path", ["/v1/models", "/health", "/openapi.json", "/v1/models/cat"])
def test_all_else_stays_json_for_browsers_too(path):
    assert ask(APP, "GET", path, headers=BROWSER).headers["content-type"] == "application/json"
    assert ask(APP, "GET", "/v1/nothing", headers=BROWSER).error["code"] == "unknown_url"


def test_names_of_models_cannot_leave_their_place():
    answer = ask(APP, "GET", f"/apps/{ODD}", headers=BROWSER, root_path=f"/apps/{ODD}")
    assert settings_of(answer)["chat"] == ["cat", ODD]
    assert settings_of(answer)["embedding"] == ["v"]
    assert b"<b>\xe2" not in answer.body
    assert answer.body.count(b"</script") == 2


def test_the_policy_allows_the_pages_own_script_and_style_and_no_more():
    answer = ask(APP, "GET", "/", headers=BROWSER)
    policy = answer.headers["content-security-policy"]
    page = answer.body.decode()
    for tag in ("script", "style"):
        (text,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in policy
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; ")
    body = page.partition("<body>")[2].partition("<script")[0]
    assert "<form id=form>" in body
    assert _HANDLES.findall(body) == []


_HANDLES = re.compile(r"\b(?:src|href|on[a-z]+|style)\s*=")
"""Attributes that load something, or are a script or a style that the policy would keep from working."""


def test_what_the_policy_keeps_from_working_is_seen():
    for bad in ("<a href=x>", "<p onclick=x()>", "<img src='x'>", '<p style = "">'):
        assert _HANDLES.findall(bad)


@pytest.mark.parametrize(
    ("root", "path", "relative"),
    [
        ("", "/", "v1"),
        ("", "", "v1"),
        ("", "/v1", "v1"),
        ("", "/v1/", "."),
        ("/apps/zoo", "/apps/zoo/", "v1"),
        ("/apps/zoo", "/apps/zoo", "./zoo/v1"),
        ("/apps/zoo", "/apps/zoo/v1", "v1"),
        ("/apps/v1", "/apps/v1", "./v1/v1"),
        ("/apps/v1", "/apps/v1/", "v1"),
        ("/apps/v1", "/apps/v1/v1/", "."),
        ("/apps/a b", "/apps/a b", "./a%20b/v1"),
    ],
)
def test_the_base_url_is_relative_to_the_page(root, path, relative):
    assert base_of(path, root) == relative


@pytest.mark.parametrize(
    ("identity", "keyed"),
    [
        (None, False),
        ({"access": "anonymous"}, False),
        ({"access": "user", "user": {"id": "alice", "name": "Alice"}}, True),
        ({"access": "key", "key_id": "k"}, True),
    ],
)
def test_examples_have_a_key_where_one_is_needed(identity, keyed):
    answer = ask(APP, "GET", "/", headers=BROWSER, extensions={"portico": identity} if identity else {})
    assert settings_of(answer)["keyed"] is keyed
