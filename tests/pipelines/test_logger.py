"""`log` is called as loguru's is, and writes to Python's logging."""

from __future__ import annotations

import asyncio
import io
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from portico.log_text import LineFormatter
from portico.pipelines.logger import LEVELS, NAME, TRACE, log


@pytest.fixture(autouse=True)
def _all_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(TRACE, logger=NAME):
        yield
    log.remove()


def last(caplog: pytest.LogCaptureFixture) -> tuple[int, str]:
    record = caplog.records[-1]
    assert (record.name, record.funcName, record.filename) == (NAME, record.funcName, "test_logger.py")
    return record.levelno, record.getMessage()


def test_every_level_can_be_called(caplog: pytest.LogCaptureFixture) -> None:
    for name, number in LEVELS.items():
        getattr(log, name.lower())("as {}", name)
        assert last(caplog) == (number, f"as {name}")
        log.log(name, "{it}", it=1)
        assert last(caplog) == (number, "1")
        assert caplog.records[-1].levelname == name
    log.log(17, "x")
    assert last(caplog) == (17, "x")


def test_a_message_is_formatted_only_with_arguments(caplog: pytest.LogCaptureFixture) -> None:
    log.info("{{}} {not} %s 100%")
    assert last(caplog)[1] == "{{}} {not} %s 100%"
    log.info("{0} {1:>3} {name!r} %d", "a", "b", name="n")
    assert last(caplog)[1] == "a   b 'n' %d"
    log.info({"a": 1})
    assert last(caplog)[1] == "{'a': 1}"


class Unprintable:
    def __str__(self) -> str:
        raise ValueError

    __repr__ = __str__
    __format__ = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    "arguments", [("{} {}", 1), ("{", 1), ("{x.y}", 1), ("{}", Unprintable()), (Unprintable(),), ("{a}", 1)]
)
def test_no_message_fails_the_code_that_logs_it(
    caplog: pytest.LogCaptureFixture, arguments: tuple[object, ...]
) -> None:
    log.info(*arguments)
    assert "not formatted" in last(caplog)[1]


def test_an_exception_comes_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise KeyError("k")
    except KeyError as error:
        log.exception("failed {}", 1)
        log.opt(exception=True).warning("w")
        caught = error
    log.opt(exception=caught).info("later")
    assert [record.getMessage() for record in caplog.records] == ["failed 1", "w", "later"]
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.WARNING, logging.INFO]
    assert [record.exc_info and record.exc_info[1] for record in caplog.records] == [caught] * 3
    log.exception("none")
    assert last(caplog)[1] == "none"


def test_options(caplog: pytest.LogCaptureFixture) -> None:
    log.opt(lazy=True).info("{} {x}", lambda: 1, x=lambda: 2)
    assert last(caplog)[1] == "1 2"
    log.opt(colors=True).info("<red>hot</red> {}", "<b>")
    assert last(caplog)[1] == "hot <b>"
    log.opt(raw=True, record=True, ansi=True).info("x")
    assert last(caplog)[1] == "x"

    def inner() -> None:
        log.opt(depth=1).info("who")

    inner()
    assert caplog.records[-1].funcName == "test_options"


def test_what_is_lazy_is_not_called_where_nobody_listens(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger=NAME):
        log.opt(lazy=True).debug("{}", lambda: 1 / 0)
        log.trace("{}", Unprintable())
    assert caplog.records == []


def test_what_is_bound_is_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    bound = log.bind(pipeline="chat").bind(n=1)
    with log.contextualize(request="r"):
        bound.info("hello {}", "you")
        assert last(caplog)[1] == "hello you | request='r', pipeline='chat', n=1"
    log.info("hello")
    assert last(caplog)[1] == "hello"


def test_what_is_caught_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    @log.catch
    def fails() -> None:
        raise ValueError("no")

    @log.catch(level="WARNING", default=3)
    async def fails_later() -> None:
        raise ValueError("no")

    @log.catch(reraise=True)
    def raises() -> None:
        raise ValueError("again")

    assert fails() is None
    assert caplog.records[-1].getMessage() == "ValueError: no"
    assert asyncio.run(fails_later()) == 3  # type: ignore[func-returns-value]
    assert caplog.records[-1].levelno == logging.WARNING
    with pytest.raises(ValueError, match="again"):
        raises()
    with log.catch():
        raise ValueError("within")
    assert caplog.records[-1].getMessage() == "ValueError: within"
    with pytest.raises(KeyboardInterrupt), log.catch():
        raise KeyboardInterrupt


def test_a_sink_gets_each_message(tmp_path: Path) -> None:
    stream, told = io.StringIO(), []
    numbers = [
        log.add(stream, level="WARNING", format="{message}", colorize=False),
        log.add(told.append),
        log.add(tmp_path / "log", rotation="1 MB"),
    ]
    log.info("one")
    log.warning("two")
    log.remove(numbers[0])
    log.warning("three")
    log.remove()
    log.warning("four")
    assert [line.rpartition("| ")[2] for line in stream.getvalue().splitlines()] == ["two"]
    assert [line.rpartition("| ")[2] for line in told] == ["one\n", "two\n", "three\n"]
    assert len((tmp_path / "log").read_text().splitlines()) == 3


PROGRAM = """
from portico.pipelines import log
log.trace("t"); log.debug("d"); log.info("i"); log.success("s"); log.warning("w")
"""


def shown(program: str, **environ: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={**environ}, timeout=60
    )
    assert done.stdout == ""
    return [line.split(" | ", 1)[1].replace(" ", "") for line in done.stderr.splitlines()]


def test_a_program_that_has_set_up_no_logging_sees_it_on_stderr() -> None:
    assert shown(PROGRAM) == ["INFO|i", "SUCCESS|s", "WARNING|w"]
    assert shown(PROGRAM, HAYHOOKS_LOG_LEVEL="trace") == ["TRACE|t", "DEBUG|d", "INFO|i", "SUCCESS|s", "WARNING|w"]
    assert shown(PROGRAM, LOG="nonsense", PORTICO_LOG_LEVEL="SUCCESS") == ["SUCCESS|s", "WARNING|w"]
    verbose = shown(PROGRAM, HAYHOOKS_LOG_FORMAT="verbose", LOG="WARNING")
    assert verbose == [f"WARNING|{NAME}:<module>:3|w"]


def test_a_program_that_has_set_up_logging_has_it_once() -> None:
    setup = "import logging; logging.basicConfig(format='root | %(levelname)s|%(message)s', level={!r})"
    usual = ["INFO|i", "SUCCESS|s", "WARNING|w"]
    assert shown(setup.format("WARNING") + PROGRAM) == usual
    assert shown(setup.format("DEBUG") + PROGRAM) == ["DEBUG|d", *usual]
    own = "; logging.getLogger('portico_pipelines').setLevel(25)"
    assert shown(setup.format("DEBUG") + own + PROGRAM) == usual[1:]


FORGING = """
from portico.pipelines import log
try:
    raise ValueError("a\\n2026-01-01 00:00:00 | INFO     | forged\\x1b[2J")
except ValueError as error:
    log.exception("said {}", "x\\r\\n2026-01-01 00:00:00 | INFO     | forged\\x1b]0;t\\x07\\u202e\\ttab ü")
"""


@pytest.mark.parametrize(
    "setup", ["", "from portico.pipelines.program.process import configure_log; configure_log()", "log.add"]
)
def test_what_a_visitor_sent_passes_for_no_record_and_steers_no_terminal(setup: str, tmp_path: Path) -> None:
    if setup == "log.add":
        setup = f"from portico.pipelines import log; log.add({str(tmp_path / 'log')!r})"
    done = subprocess.run([sys.executable, "-c", setup + FORGING], capture_output=True, check=True, timeout=60)
    files = [path.read_text("utf-8") for path in tmp_path.iterdir()]
    for text in (done.stderr.decode(), *files):
        first, *more = text.splitlines()
        assert "said x" in first
        assert all(line.startswith("  | ") for line in more)
        assert "  | 2026-01-01 00:00:00 | INFO     | forged\\x1b]0;t\\x07\\u202e    tab ü" in more
        assert "  | 2026-01-01 00:00:00 | INFO     | forged\\x1b[2J" in more
        assert "  | Traceback (most recent call last):" in more


def test_a_record_is_of_bounded_length() -> None:
    record = logging.LogRecord("n", 40, "", 1, "%s", ("a" * 20_000 + "\n" * 3_000,), None)
    lines = LineFormatter("%(message)s").format(record).split("\n")
    assert lines[0] == "a" * 10_000 + "...(+10000)"
    assert lines[-1] == "  | ...(+2001 lines)"
    assert len(lines) == 1_001
