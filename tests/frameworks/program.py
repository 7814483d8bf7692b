"""`python program.py FRAMEWORK RELAY`: serve a page of that framework, print where, and wait.

Each page says "Hello", and answers a click or an entry by its own server.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import portico


def dash() -> Any:
    return dash_(routes="/dash/")


def dash_(routes: str, **options: Any) -> Any:
    import dash

    app = dash.Dash("page", routes_pathname_prefix=routes, **options)
    app.layout = lambda: [
        dash.html.H1("Hello"),
        dash.html.Button("Ask", id="ask"),
        dash.html.Div(id="answer"),
        dash.html.A("again", href=dash.get_relative_path("/")),
    ]

    @app.callback(dash.Output("answer", "children"), dash.Input("ask", "n_clicks"))
    def answer(clicks: int | None) -> str:
        return f"answered {clicks or 0}"

    return app


def dash_in_flask() -> Any:
    """Dash's pages among those of a Flask app, which is what is served."""
    import flask

    server = flask.Flask("host")
    app = dash_(routes="/dash/", server=server)
    assert app.server is server
    return server


def nicegui() -> Any:
    from nicegui import app, ui

    @ui.page("/")
    def index() -> None:
        app.storage.user["visits"] = app.storage.user.get("visits", 0) + 1
        ui.label(f"Hello {app.storage.user['visits']}")
        answer = ui.label("")
        ui.button("Ask", on_click=lambda: answer.set_text("answered 1"))

    return app


def nicegui_in_fastapi() -> Any:
    from fastapi import FastAPI
    from nicegui import ui

    nicegui()
    site = FastAPI()
    ui.run_with(site, storage_secret="a secret of the author's")
    return site


def streamlit() -> Any:
    import streamlit

    script = Path(tempfile.mkdtemp()) / "page.py"
    script.write_text(
        "import streamlit as st\nst.write('Hello')\nif st.button('Ask'):\n    st.write('answered 1')\n", "utf-8"
    )
    return streamlit.App(str(script))


def panel() -> Any:
    import panel
    from fastapi import FastAPI
    from panel.io.fastapi import add_application

    app = FastAPI()

    @add_application("/page", app=app, title="Hello")
    def page() -> Any:
        button = panel.widgets.Button(name="Ask")
        answer = panel.bind(lambda clicks: f"answered {clicks}", button.param.clicks)
        return panel.Column("Hello", button, answer)

    return app


def datasette() -> Any:
    from datasette.app import Datasette

    path = Path(tempfile.mkdtemp()) / "things.db"
    with sqlite3.connect(path) as things:
        things.execute("create table things (name text, kind text)")
        things.executemany("insert into things values (?, ?)", [(f"thing {n}", f"kind {n % 2}") for n in range(9)])
    return Datasette([str(path)], memory=True, settings={"num_sql_threads": 0})


FRAMEWORKS: dict[str, Callable[[], Any]] = {
    made.__name__: made for made in (dash, dash_in_flask, nicegui, nicegui_in_fastapi, streamlit, panel, datasette)
}

if __name__ == "__main__":
    framework, relay = sys.argv[1:]
    service = portico.serve(FRAMEWORKS[framework](), framework.replace("_", "-"), access="public", relay=relay)
    print(service.url, flush=True)
    try:
        sys.stdin.read()
    finally:
        print(service.log, file=sys.stderr)
