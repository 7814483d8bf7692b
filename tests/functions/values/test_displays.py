"""A result as a notebook would show it."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import IPython.display as ipython
import matplotlib as mpl
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from matplotlib import pyplot

from portico.functions.values import bounds
from portico.functions.values.displays import display, rich_forms
from tests.functions.values.functions import answered, result_of


class Shown:
    def __init__(self, **forms: Any) -> None:
        self._forms = forms

    def __repr__(self) -> str:
        return "Shown"

    def _repr_html_(self) -> Any:
        form = self._forms.get("html")
        if isinstance(form, Exception):
            raise form
        return form

    def _repr_png_(self) -> Any:
        return self._forms.get("png")


def test_forms_are_told_by_media_type() -> None:
    assert display(Shown(html="<b>", png=b"\x89PNG")) == {
        "text/plain": "Shown",
        "text/html": "<b>",
        "image/png": "iVBORw==",
    }
    assert "<table" in display(pd.DataFrame({"a": [1]}))["text/html"]
    assert display(3) == {"text/plain": "3"}


def test_a_form_that_fails_costs_that_form_alone_and_its_author_is_told() -> None:
    told: list[BaseException] = []
    assert display(Shown(html=ValueError("no"), png=b"x"), told.append) == {"text/plain": "Shown", "image/png": "eA=="}
    assert [str(error) for error in told] == ["no"]


def test_a_display_is_bounded() -> None:
    shown = display(Shown(html="x" * (bounds.DISPLAY + 1), png=b"x" * (bounds.DISPLAY + 1)))
    assert shown == {"text/plain": "Shown"}
    assert len(display("x" * 10 * bounds.TEXT)["text/plain"]) <= bounds.TEXT + 1


class Bundled:
    """As altair's charts and plotly's figures are."""

    def __init__(self, told: Any) -> None:
        self._told = told

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        return self._told


BUNDLE = {
    "text/html": "<b>",
    "application/vnd.vegalite.v5+json": {"mark": "bar"},
    "application/vnd.jupyter.widget-view+json": {"model_id": "x"},
    "image/png": "iVBO\nRw==",
    "text/latex": None,
}
SHOWN = {
    "text/html": "<b>",
    "application/vnd.vegalite.v5+json": {"mark": "bar"},
    "image/png": "iVBORw==",
}


@pytest.mark.parametrize("told", [BUNDLE, (BUNDLE, {"text/html": {"isolated": True}})], ids=["data", "with metadata"])
def test_a_bundle_is_told_as_it_is_but_for_widgets(told: Any) -> None:
    shown = display(Bundled(told))
    assert {media_type: data for media_type, data in shown.items() if media_type != "text/plain"} == SHOWN
    assert answered(Bundled(told), "text/html").body == b"<b>"
    assert answered(Bundled(told), "image/png").body == b"\x89PNG"


@pytest.mark.parametrize(
    ("value", "media_type", "data", "json"),
    [
        (ipython.HTML("<b>hi</b>"), "text/html", "<b>hi</b>", "<b>hi</b>"),
        (ipython.Markdown("*hi*"), "text/markdown", "*hi*", "*hi*"),
        (ipython.Latex("$x$"), "text/latex", "$x$", "$x$"),
        (ipython.SVG("<svg/>"), "image/svg+xml", "<svg/>", "<svg/>"),
        (
            ipython.Image(b"\x89PNG\r\n\x1a\n", format="png"),
            "image/png",
            "iVBORw0KGgo=",
            "data:image/png;base64,iVBORw0KGgo=",
        ),
        (ipython.JSON({"a": 1}), "application/json", {"a": 1}, {"a": 1}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_objects_of_ipython(value: Any, media_type: str, data: Any, json: Any) -> None:
    assert display(value)[media_type] == data
    assert result_of(value) == json


@contextmanager
def live_shell() -> Iterator[Any]:
    """IPython's shell in this process, and no trace of it afterwards: code asks for ``__IPYTHON__`` where it is."""
    before = dict(vars(builtins))
    try:
        yield InteractiveShell.instance()
    finally:
        InteractiveShell.clear_instance()
        for name in vars(builtins).keys() - before.keys():
            delattr(builtins, name)


def test_where_there_is_a_shell_its_formatters_say() -> None:
    class Mine:
        pass

    with live_shell() as shell:
        shell.display_formatter.formatters["text/html"].for_type(Mine, lambda value: "<i>mine</i>")
        assert display(Mine())["text/html"] == "<i>mine</i>"
        assert display(Shown(html="<b>"))["text/html"] == "<b>"
    assert not hasattr(builtins, "__IPYTHON__")
    assert "text/html" not in display(Mine())


def test_what_would_show_itself_under_the_cell_does_not() -> None:
    class Loud:
        said = 0

        def _ipython_display_(self) -> None:
            Loud.said += 1

        def _repr_html_(self) -> str:
            return "<b>"

    with live_shell():
        assert display(Loud())["text/html"] == "<b>"
    assert Loud.said == 0


def test_axes_stand_for_their_figure_and_pyplot_forgets_it() -> None:
    mpl.use("Agg")
    axes = pd.DataFrame({"a": [1, 2]}).plot()
    assert len(pyplot.get_fignums()) == 1
    assert result_of(axes).startswith("data:image/png;base64,")
    assert pyplot.get_fignums() == []
    assert display(axes)["image/png"].startswith("iVBOR")
    assert answered(axes, "image/svg+xml").body.startswith(b"<?xml")


@pytest.mark.parametrize(
    "error", [SystemExit(1), KeyboardInterrupt(), ValueError("no")], ids=lambda error: type(error).__name__
)
def test_what_an_objects_code_raises_ends_nothing_else(error: BaseException) -> None:
    class Broken:
        def __repr__(self) -> str:
            raise error

        def _repr_html_(self) -> str:
            raise error

    import threading

    told: list[BaseException] = []
    shown: list[Any] = []
    # off the main thread, where a KeyboardInterrupt could be Ctrl-C
    thread = threading.Thread(target=lambda: shown.append(display(Broken(), told.append)))
    thread.start()
    thread.join()
    assert shown == [{"text/plain": "<Broken>"}]
    assert told == [error, error]


def test_half_of_a_surrogate_pair_does_no_harm() -> None:
    assert display(Shown(html="\ud800"))["text/html"] == "\ufffd"
    assert answered("\ud800", "application/vnd.portico.display+json").body.startswith(b'{"result":"\\ufffd"')


def test_a_form_whose_name_is_no_media_type_is_left_out() -> None:
    class Shown:
        def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[Any, str]:
            return {"text/html\r\nset-cookie: a=b": "x", "é/ü": "x", "html": "x", 5: "x", "text/html": "<b>"}

    assert list(rich_forms(Shown())) == ["text/html"]
