"""The hub's own words: the shape that fits who asks, and nothing in it that was not meant to be said."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html import escape

import pytest

from portico.hub import answers, body_limit, enforcer, pages
from portico.hub.answers import Answer, wants_page
from portico.hub.date_and_server import server_of

SAID_BY = [
    answers.unauthorized(),
    answers.invalid_key("this key has expired"),
    answers.forbidden("No."),
    answers.not_found("cat"),
    answers.gone("The kernel has gone."),
    answers.reconnecting(),
    answers.away(),
    answers.overloaded(),
    answers.app_error(),
    answers.provider_lost(),
    body_limit.too_large(1000),
    enforcer.busy(8),
    Answer(429, "rate_limited", "Too many.", retry_after=90),
    answers.password_needed("/a/.portico/password", "/a/", program=False),
    answers.wrong_password("/a/.portico/password", "/a/", program=False),
    answers.confirm_needed("/a/.portico/confirm", "/a/", "cat.example"),
]


@pytest.mark.parametrize("answer", SAID_BY, ids=lambda answer: f"{answer.status}-{answer.code}")
def test_every_answer_has_all_three_shapes(answer: Answer) -> None:
    for html, openai in ((False, False), (False, True), (True, False)):
        headers, body = answer.render(html=html, openai=openai)
        fields = dict(headers)
        assert fields[b"content-length"] == str(len(body)).encode()
        assert fields[b"cache-control"] == b"no-store"
        assert fields[b"x-content-type-options"] == b"nosniff"
        if html:
            assert fields[b"content-type"].startswith(b"text/html")
            assert b"default-src 'none'" in fields[b"content-security-policy"]
            asks = b"<form" in body
            policy = fields[b"content-security-policy"]
            assert b"base-uri 'none'" in policy
            assert (b"frame-ancestors 'none'" if asks else b"frame-ancestors 'self'") in policy
            assert (b"form-action 'self'" if asks else b"form-action 'none'") in policy
            assert fields[b"x-frame-options"] == (b"DENY" if asks else b"SAMEORIGIN")
            assert fields[b"referrer-policy"] == (b"same-origin" if b"method=post" in body else b"no-referrer")
            assert b"unsafe" not in policy
            style = body.partition(b"<style>")[2].partition(b"</style>")[0]
            assert base64.b64encode(hashlib.sha256(style).digest()) in policy
            assert b"<script" not in body
            assert not re.search(rb"\son\w+=|\sstyle=", body)
            assert escape(answer.message).encode() in body
        else:
            error = json.loads(body)["error"]
            assert error["message"] == answer.message
            assert error["code"] == answer.code
            assert set(error) == {"message", "code", "type", "param"} if openai else {"message", "code", "status"}
        if answer.status == 401:
            assert fields[b"www-authenticate"].startswith(b"Bearer")
        if answer.retry_after is not None:
            assert fields[b"retry-after"] == str(answer.retry_after).encode()


def test_openai_types_fit_the_status() -> None:
    kinds = {
        answer.status: json.loads(answer.render(html=False, openai=True)[1])["error"]["type"] for answer in SAID_BY
    }
    assert kinds[401] == "authentication_error"
    assert kinds[403] == "permission_error"
    assert kinds[404] == "not_found_error"
    assert kinds[429] == "rate_limit_error"
    assert kinds[413] == "invalid_request_error"
    assert kinds[502] == "server_error"


def test_a_page_holds_no_markup_of_others() -> None:
    hostile = "<script>alert(1)</script>{title}%s"
    _, body = answers.not_found(hostile).render(html=True, openai=False)
    assert b"<script" not in body
    assert b"&lt;script&gt;" in body
    hostile = '"><script>alert(1)</script>'
    for form in (pages.password_form(hostile, hostile), pages.confirm_form(hostile, hostile, hostile)):
        assert "<script" not in form
        assert "&lt;script" in form


def test_only_a_page_that_is_away_loads_itself_again() -> None:
    for answer in SAID_BY:
        body = answer.render(html=True, openai=False)[1]
        assert (b'http-equiv="refresh"' in body) == (answer.status == 503 and answer.retry_after is not None)


def test_a_program_is_told_how_to_send_a_password() -> None:
    for program, scheme in ((True, b"Basic "), (False, b"Bearer ")):
        for said in (answers.password_needed, answers.wrong_password):
            headers, _ = said("/a", "/b", program=program).render(html=False, openai=False)
            assert dict(headers)[b"www-authenticate"].startswith(scheme)


def test_only_a_browser_that_navigates_gets_a_page() -> None:
    assert wants_page([(b"accept", b"text/html,application/xhtml+xml,*/*;q=0.8")])
    assert not wants_page([(b"accept", b"*/*")])
    assert not wants_page([(b"accept", b"application/json")])
    assert not wants_page([])


@pytest.mark.parametrize(
    ("host", "scheme", "server"),
    [
        ("a.example", "http", ("a.example", 80)),
        ("a.example:8080", "https", ("a.example", 8080)),
        ("[::1]:8080", "http", ("::1", 8080)),
        ("", "http", None),
        *(
            (f"a.example:{port}", "https", (f"a.example:{port}", 443))
            for port in ("", "x", "\xb2", "99999", "9" * 5000)
        ),
    ],
)
def test_a_server_is_read_from_any_host(host: str, scheme: str, server: tuple[str, int] | None) -> None:
    assert server_of(host, scheme) == server
