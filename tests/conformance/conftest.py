"""The carriers, each started once a session, and the judging of a case."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.conformance.carriers import CARRIERS, ORACLES, Carrier
from tests.conformance.compare import differences, normalised
from tests.conformance.differences import stale, undocumented
from tests.conformance.visitor import Case, observe

Judge = Callable[[Carrier, Case], None]


@pytest.fixture(scope="session")
def oracles(request: pytest.FixtureRequest) -> Iterator[dict[str, Carrier]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(factory(request)) for name, factory in ORACLES.items()}


@pytest.fixture(scope="session", params=list(CARRIERS))
def carrier(request: pytest.FixtureRequest) -> Iterator[Carrier]:
    with CARRIERS[request.param](request) as carrier:
        yield carrier


@pytest.fixture(scope="session")
def judge(oracles: dict[str, Carrier]) -> Judge:
    """Runs a case through its oracle (once a session, when it is one of the fixed cases) and through the carrier;
    fails on a difference that is not documented, and on a documented one that has gone."""
    answers: dict[str, dict[str, Any]] = {}

    def judge(carrier: Carrier, case: Case) -> None:
        oracle = oracles[case.oracle]
        expected = answers.get(case.name)
        if expected is None:
            expected = normalised(observe(oracle, case), oracle, case)
            if not case.generated:
                answers[case.name] = expected
        found = differences(expected, normalised(observe(carrier, case), carrier, case))
        defects = undocumented(carrier.name, case.name, found)
        if defects:
            listed = "\n  - ".join(str(defect) for defect in defects)
            pytest.fail(f"{carrier.name} differs from {oracle.name} in {case.name}:\n  - {listed}", pytrace=False)
        gone = stale(carrier.name, case.name, found)
        if gone:
            listed = "\n  - ".join(str(line) for line in gone)
            pytest.fail(f"documented for {carrier.name} in {case.name}, but gone:\n  - {listed}", pytrace=False)

    return judge
