"""A result in the form that its caller asks for."""

from __future__ import annotations

import dataclasses
import datetime
import json
from typing import Annotated, Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pydantic
import pytest
from matplotlib.figure import Figure

from portico.errors import UnusableOutput, UnusableRequest
from portico.functions.values import bounds
from portico.functions.values.encodings import DISPLAY, is_quick
from tests.functions.values.functions import answered, result_of

mpl.use("Agg")


def figure() -> Figure:
    made = Figure(figsize=(2, 1))
    made.add_subplot().plot([1, 2])
    return made


class Rich:
    """An object that shows itself, and is nothing that JSON knows."""

    def _repr_html_(self) -> str:
        return "<b>rich</b>"


@pytest.mark.parametrize("accept", ["", "*/*", "application/json", "application/*", "text/html, */*"])
def test_json_is_given_where_nothing_better_is_asked_for(accept: str) -> None:
    encoded = answered({"a": 1}, accept)
    assert (encoded.media_type, encoded.body, encoded.headers) == ("application/json", b'{"result":{"a":1}}', ())


@pytest.mark.parametrize("accept", [",", " ", ";q=1", "text", "," * 5000, "q=0"])
def test_json_is_given_where_what_is_asked_for_is_nothing(accept: str) -> None:
    assert answered(pd.DataFrame({"a": [1]}), accept).body == b'{"result":[{"a":1}]}'


def test_text_is_given_as_text() -> None:
    encoded = answered("hé", "text/plain")
    assert (encoded.media_type, encoded.body) == ("text/plain; charset=utf-8", "hé".encode())
    assert answered(b"\xff", "application/octet-stream").body == b"\xff"


@pytest.mark.parametrize(
    ("media_type", "start"), [("image/png", b"\x89PNG"), ("image/svg+xml", b"<?xml"), ("application/pdf", b"%PDF")]
)
def test_a_figure_is_given_as_a_picture(media_type: str, start: bytes) -> None:
    encoded = answered(figure(), media_type)
    assert encoded.media_type == media_type
    assert encoded.body.startswith(start)
    assert result_of([figure()])[0].startswith("data:image/png;base64,")


def test_html_cannot_act_as_a_page_of_the_service() -> None:
    encoded = answered(Rich(), "text/html")
    assert encoded.body == b"<b>rich</b>"
    headers = dict(encoded.headers)
    assert headers[b"content-security-policy"].startswith(b"sandbox; default-src 'none'")
    assert headers[b"x-content-type-options"] == b"nosniff"


def test_what_json_cannot_hold_is_given_as_it_shows_itself_where_anything_will_do() -> None:
    assert answered(Rich(), "*/*").media_type == "text/html; charset=utf-8"
    with pytest.raises(UnusableOutput, match="a value of type Rich, which cannot be written as JSON"):
        answered(Rich(), "application/json")


def test_what_has_no_form_is_the_functions_error() -> None:
    with pytest.raises(
        UnusableOutput, match=r"a value of type object, which cannot be written as JSON\. Return numbers"
    ):
        answered(object())


def test_a_form_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UnusableRequest, match=r"text/csv, application/vnd.apache.arrow.stream") as refused:
        answered(pd.DataFrame({"a": [1]}), "image/png")
    assert refused.value.status == 406


@pytest.mark.parametrize("accept", ["", "text/plain", DISPLAY])
@pytest.mark.parametrize(("value", "kind"), [("x", int), (1.5, int), ([1], np.ndarray), ("x", pd.DataFrame)])
def test_a_result_of_another_type_than_promised_is_the_functions_error(value: Any, kind: Any, accept: str) -> None:
    with pytest.raises(UnusableOutput, match="not what its annotation says"):
        answered(value, accept, kind)


def test_the_page_gets_result_text_and_display() -> None:
    encoded = answered(pd.DataFrame({"a": [1]}), DISPLAY)
    assert encoded.media_type == DISPLAY
    shown = json.loads(encoded.body)
    assert shown["result"] == [{"a": 1}]
    assert shown["text"] == "   a\n0  1"
    assert "<table" in shown["display"]["text/html"]
    shown = json.loads(answered(Rich(), DISPLAY).body)
    assert "result" not in shown
    assert shown["display"] == {"text/html": "<b>rich</b>"}


def test_a_result_that_no_page_can_hold_is_not_in_its_display() -> None:
    shown = json.loads(answered("x" * (bounds.DISPLAY + 1), DISPLAY).body)
    assert sorted(shown) == ["display", "text"]
    assert len(shown["text"]) == bounds.TEXT + 1


class Small(pydantic.BaseModel):
    when: datetime.date = datetime.date(2026, 11, 30)
    many: list[dict[str, float]] = [{"a": 1.5}]


@dataclasses.dataclass
class Holding:
    value: Any


def test_what_takes_long_is_no_work_for_an_event_loop() -> None:
    for value in (
        1,
        "x" * 100,
        b"x",
        [1, 2],
        {"a": ["x", {"b": None}]},
        Small(),
        [Small()],
        Holding(1),
        Holding(Small()),
    ):
        assert is_quick(value), value
    endless: list[Any] = []
    endless.append(endless)
    for value in (
        "x" * 10**6,
        np.ones(2),
        pd.DataFrame(),
        [figure()],
        [0] * 1000,
        Holding(np.ones(1)),
        Rich(),
        endless,
    ):
        assert not is_quick(value), value


def test_a_form_that_is_not_there_after_all_is_passed_over() -> None:
    frame = pd.DataFrame({"a": [1]})  # its _repr_latex_ gives None, unless an option says otherwise
    with pytest.raises(UnusableRequest, match="text/latex"):
        answered(frame, "text/latex")
    assert answered(frame, "text/latex, text/csv;q=0.5").media_type == "text/csv; charset=utf-8"


def test_a_file_to_be_saved_has_a_name() -> None:
    headers = dict(answered(np.ones(2), "application/x-npy").headers)
    assert headers[b"content-disposition"] == b'attachment; filename="it.npy"'
    assert b"content-disposition" not in dict(answered(Rich(), "text/html").headers)


class Hostile:
    def __init__(self, error: BaseException) -> None:
        self._error = error

    def _raise(self) -> Any:
        raise self._error

    _repr_html_ = __str__ = __repr__ = _raise

    def __iter__(self) -> Any:
        raise self._error


class Serialized(pydantic.BaseModel):
    way: str = "x"

    @pydantic.field_serializer("way")
    def _write(self, way: str) -> str:
        raise SystemExit(3)


@pytest.mark.parametrize("accept", ["", "application/json", "text/html", "text/plain", DISPLAY])
def test_what_a_results_own_code_raises_is_the_functions_error(accept: str) -> None:
    for value in (Hostile(SystemExit(1)), Hostile(ValueError("no")), Serialized()):
        try:
            answered(value, accept)
        except (UnusableOutput, UnusableRequest):
            continue


def test_what_a_validator_of_the_result_raises_is_the_functions_error() -> None:
    def refuse(value: Any) -> Any:
        raise SystemExit(2)

    with pytest.raises(UnusableOutput, match="SystemExit"):
        answered(1, "", Annotated[int, pydantic.AfterValidator(refuse)])
