"""Cards to show."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from portico.card.state import CardState, FailureState, ShareState

SHARE = ShareState(
    name="app",
    relay="https://share.test/",
    url="https://app--team.share.test/",
    status="live",
    error="",
    access="public",
    shared=1_700_000_000.0,
    expires=None,
    has_password=False,
    networks=(),
    rate="",
    concurrency=None,
    max_body=None,
)

FAILURE = FailureState(
    time=1_700_000_000.0,
    doing="GET /portico/apps/app/hello",
    summary="ZeroDivisionError: division by zero",
    own='File "app.py", line 1, in hello\n',
    traceback="Traceback (most recent call last): ...",
    total=1,
)


def a_card(**changes: Any) -> CardState:
    """That of a service in a kernel, which is live, with *changes*."""
    card = CardState(
        name="app",
        title="An app",
        kind="app",
        how="an app of the test",
        models=(),
        tools=(),
        call=None,
        url="http://hub.test/portico/apps/app/",
        docs_url="",
        access="private",
        origins=(),
        status="live",
        error="",
        holder="kernel",
        notice="",
        served=1_700_000_000.0,
        requests=0,
        notes=(),
        remarks=(),
        shares=(),
        failure=None,
    )
    return replace(card, **changes)
