"""The page at docs: nothing from elsewhere, and no script but its own."""

import re

import pytest

from portico.functions import docs
from tests.functions.visiting import get, server


def predict(area: float) -> float:
    return area


def test_the_page_loads_its_own_files_alone():
    app = server(predict, title="<Flats>")
    answer = get(app, "/base/docs", root_path="/base")
    text = answer.body.decode()
    assert "&lt;Flats&gt;" in text
    assert "http" not in text
    policy = answer.headers["content-security-policy"]
    assert "'unsafe-inline'" not in policy
    assert "'unsafe-eval'" not in policy
    (nonce,) = set(re.findall(r'nonce="([^"]+)"', text))
    assert f"script-src 'nonce-{nonce}';" in policy
    for path in re.findall(r'(?:src|href)="(static[^"]+)"', text):
        assert get(app, f"/base/{path}", root_path="/base").status == 200


def test_each_page_has_a_nonce_of_its_own():
    assert docs.page("x")[0] != docs.page("x")[0]


def test_a_slash_too_many():
    answer = get(server(predict), "/base/docs/", root_path="/base")
    assert (answer.status, answer.headers["location"]) == (307, "../docs")


def test_without_the_package_the_page_says_what_is_missing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(docs, "files", dict)
    app = server(predict)
    assert "fastapi-offline" in get(app, "/docs").body.decode()
    assert any("fastapi-offline" in remark for remark in app.remarks)
    assert get(app, "/static/docs/swagger-ui.css").status == 404
    monkeypatch.undo()  # as it is once the package is installed, in the same kernel
    assert get(app, "/static/docs/swagger-ui.css").status == 200
