"""Every WebSocket case through every carrier."""

import pytest

from tests.conformance.carriers import Carrier
from tests.conformance.conftest import Judge
from tests.conformance.visitor import Case
from tests.conformance.websocket_cases import CASES


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_websocket(judge: Judge, carrier: Carrier, case: Case) -> None:
    judge(carrier, case)


def test_names_are_unique_and_the_suite_is_whole() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 25
