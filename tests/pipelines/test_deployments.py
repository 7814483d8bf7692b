"""The table of deployed pipelines: what is in it, and who is told."""

from __future__ import annotations

import pytest

from portico.errors import NoSuchPipeline, PipelineExists
from portico.pipelines.deployment import Deployment, Source
from portico.pipelines.deployments import Deployments


def deployment(name: str, description: str = "") -> Deployment:
    return Deployment(name=name, pipeline=None, wrapper=None, source=Source(kind="object"), description=description)


def test_the_order_is_that_of_the_first_deployment_and_a_record_once_read_stays() -> None:
    table = Deployments()
    table.add(deployment("a"))
    table.add(deployment("b"))
    before = table.present
    table.add(deployment("a", "anew"), replace=True)
    assert list(table.present) == ["a", "b"]
    assert table.find("a").description == "anew"
    assert before["a"].description == ""


def test_those_that_are_named_come_first_in_that_order() -> None:
    table = Deployments()
    told: list[list[str]] = []
    for name in "cabd":
        table.add(deployment(name))
    table.listeners.append(lambda: told.append(list(table.present)))
    table.arrange(["a", "b", "x", "c"])
    table.arrange(["a", "b"])
    assert told == [["a", "b", "c", "d"]]


def test_a_name_that_is_taken_or_unknown_is_refused_and_changes_nothing() -> None:
    table = Deployments()
    told: list[list[str]] = []
    table.listeners.append(lambda: told.append(list(table.present)))
    table.add(deployment("a"))
    with pytest.raises(PipelineExists, match=r"^Pipeline 'a' already exists$"):
        table.add(deployment("a"))
    with pytest.raises(NoSuchPipeline, match=r"^Pipeline 'b' not found$"):
        table.remove("b")
    assert table.remove("a").name == "a"
    assert told == [["a"], []]


def test_what_is_served_no_more_lets_go_of_its_modules() -> None:
    table = Deployments()
    told: list[str] = []

    def made(wrapper: object) -> Deployment:
        source = Source(kind="object")
        return Deployment(
            name="a", pipeline=None, wrapper=wrapper, source=source, discard=lambda: told.append(str(wrapper))
        )

    table.add(made("first"))
    table.add(made("first"), replace=True)
    assert told == []
    table.add(made("second"), replace=True)
    assert told == ["first"]
    table.remove("a")
    assert told == ["first", "second"]
