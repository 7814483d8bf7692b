"""The hub's own words: the shape that fits who asks, and nothing in it that was not meant to be said."""

from __future__ import annotations

import json

import pytest

from portico.hub import answers
from portico.hub.answers import Answer, wants_page

SAID_BY = [
    answers.unauthorized(),
    answers.invalid_key("this key has expired"),
    answers.forbidden("No."),
    answers.not_found("cat"),
    answers.gone("The kernel has gone."),
    answers.reconnecting(),
    answers.overloaded(),
    answers.app_error(),
    answers.provider_lost(),
    Answer(413, "too_large", "Too large."),
    Answer(429, "too_many", "Too many."),
]


@pytest.mark.parametrize("answer", SAID_BY, ids=lambda answer: answer.code)
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
            assert answer.message.encode() in body or b"&#x27;" in body
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


def test_only_a_browser_that_navigates_gets_a_page() -> None:
    assert wants_page([(b"accept", b"text/html,application/xhtml+xml,*/*;q=0.8")])
    assert not wants_page([(b"accept", b"*/*")])
    assert not wants_page([(b"accept", b"application/json")])
    assert not wants_page([])
