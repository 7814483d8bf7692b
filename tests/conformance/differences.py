"""The documented differences: where a carrier does not do as the oracle does, and why that is right or harmless.

What is not in this table is a defect. A line holds for the carriers, cases and fields that its patterns name (shell
patterns; a field as `compare.Difference` says it). `cases` that hold no wildcard must show the difference each time:
a line whose difference has gone fails the suite, so the table cannot rot. `sometimes` lifts that, where timing decides.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from tests.conformance.compare import MISSING, Difference

ANYTHING = "<anything>"


def _is(expected: Any, value: Any) -> bool:
    return expected is ANYTHING or expected == value


@dataclass(frozen=True)
class Documented:
    """One line of the table."""

    carriers: str
    cases: tuple[str, ...]
    fields: tuple[str, ...]
    reason: str
    oracle: Any = ANYTHING
    carrier: Any = ANYTHING
    sometimes: bool = False

    def covers(self, carrier: str, case: str, difference: Difference) -> bool:
        return (
            self.applies(carrier, case)
            and any(fnmatchcase(difference.field, pattern) for pattern in self.fields)
            and _is(self.oracle, difference.oracle)
            and _is(self.carrier, difference.carrier)
        )

    def applies(self, carrier: str, case: str) -> bool:
        return fnmatchcase(carrier, self.carriers) and any(fnmatchcase(case, name) for name in self.cases)

    def is_due(self, carrier: str, case: str) -> bool:
        """Whether the difference must show in this very case."""
        return not self.sometimes and fnmatchcase(carrier, self.carriers) and case in self.cases


DOCUMENTED: tuple[Documented, ...] = ()


def undocumented(carrier: str, case: str, found: list[Difference]) -> list[Difference]:
    """The defects among `found`."""
    return [one for one in found if not any(line.covers(carrier, case, one) for line in DOCUMENTED)]


def stale(carrier: str, case: str, found: list[Difference]) -> list[Documented]:
    """The lines that promise a difference for this case which did not show."""
    return [
        line
        for line in DOCUMENTED
        if line.is_due(carrier, case) and not any(line.covers(carrier, case, one) for one in found)
    ]


__all__ = ["ANYTHING", "DOCUMENTED", "MISSING", "Documented", "stale", "undocumented"]
