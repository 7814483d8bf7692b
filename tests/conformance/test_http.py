"""Every HTTP case through every carrier."""

import pytest

from tests.conformance.carriers import Carrier
from tests.conformance.conftest import Judge
from tests.conformance.http_cases import CASES
from tests.conformance.visitor import Case


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_http(judge: Judge, carrier: Carrier, case: Case) -> None:
    if case.uses_authorization and any(name.lower() == b"authorization" for name, _ in carrier.headers):
        pytest.skip("the carrier's own credentials are in Authorization")
    judge(carrier, case)


def test_names_are_unique_and_the_suite_is_whole() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 60
