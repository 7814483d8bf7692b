"""What strangers send forges no line of the log, steers no terminal, and takes neither time nor room beyond measure."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable

import pytest

from portico.hub.keys import KeyRing, MemoryKeyStore
from portico.relay.operate.log import AccessLog, JSONFormatter, TextFormatter, without_credentials
from tests.costs import grows_in_proportion

HOSTILE = {
    "a line of its own": "x\n2026-01-01T00:00:00.000Z INFO    portico.relay.access: 200 GET forged",
    "a return": "x\rforged",
    "a terminal's escape": "\x1b[2J\x1b]0;title\x07",
    "an escape of eight bits": "\x9b2J",
    "NEL": "x\x85forged",
    "a line separator": "x\u2028forged",
    "a paragraph separator": "x\u2029forged",
    "a turn of direction": "\u202eforged\u2066",
    "a space": "x 200 GET forged",
    "a delete": "x\x7fy",
    "a lone surrogate": "x\ud800y",
    "a zero": "x\0y",
}
LONG = "y" * 65_000


def access_line(log_format: str, text: str) -> str:
    async def write() -> str:
        written: list[str] = []
        log = AccessLog(log_format, written.append)
        log.add(text, text, text.encode("latin-1", "replace"), 200, 0.1, text, text, text, 1)
        log.flush()
        return "".join(written)

    return asyncio.run(write())


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_line_of_the_access_log_is_one_line_of_visible_ascii(log_format: str, text: str) -> None:
    written = access_line(log_format, text)
    assert written.endswith("\n")
    line = written[:-1]
    assert line.isascii()
    assert line.isprintable()
    if log_format == "json":
        assert json.loads(line)["client"] == text
    else:
        assert len(line.split()) == 11


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_line_of_the_access_log_is_cut_and_says_so(log_format: str) -> None:
    written = access_line(log_format, LONG)
    assert len(written) < 5_000
    assert "(+62952)" in written  # of the path
    escaped = access_line(log_format, "\x85" * 65_000)
    assert len(escaped) < 25_000


def test_long_lines_that_wait_are_written_before_they_are_many() -> None:
    sizes: list[int] = []

    async def write() -> None:
        log = AccessLog("text", lambda text: sizes.append(len(text)))
        for _ in range(1000):
            log.add("GET", "h", LONG.encode(), 200, 0.1, "w", "s", "127.0.0.1", 1)
        log.flush()

    asyncio.run(write())
    assert max(sizes) < 200_000
    assert len(sizes) > 10


def record(message: str, *arguments: object, error: BaseException | None = None) -> logging.LogRecord:
    found = (type(error), error, None) if error is not None else None
    return logging.LogRecord("portico.some", logging.WARNING, "here.py", 1, message, arguments, found)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_message_is_one_line_whatever_is_put_into_it(text: str) -> None:
    line = TextFormatter().format(record("someone sent %s", text))
    assert line.isprintable()
    line = JSONFormatter().format(record("someone sent %s", text))
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["message"] == f"someone sent {text}"


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_line_of_a_traceback_passes_for_a_record(text: str) -> None:
    written = TextFormatter().format(record("it failed", error=ValueError(text)))
    first, *others = written.split("\n")
    assert "it failed" in first
    assert others
    assert all(line.startswith("  | ") and line.isprintable() for line in others)
    assert JSONFormatter().format(record("it failed", error=ValueError(text))).isprintable()


@pytest.mark.parametrize("formatter", [TextFormatter(), JSONFormatter()])
def test_messages_and_tracebacks_are_cut(formatter: logging.Formatter) -> None:
    assert len(formatter.format(record("%s", LONG * 10))) < 9_000
    assert len(formatter.format(record("x", error=ValueError(LONG * 10)))) < 21_000


def test_letters_of_other_scripts_stay_in_messages() -> None:
    assert "Zoë 猫" in TextFormatter().format(record("%s signed in", "Zoë 猫"))


TOKEN = KeyRing(MemoryKeyStore()).mint_provider("kernel")


@pytest.mark.parametrize(
    "text",
    [
        TOKEN,
        f"/a/{TOKEN}/b",
        f"x{TOKEN}",
        f"-eyJ{TOKEN}",
        f"eyJ.eyJ.{TOKEN}",
        f"Bearer {TOKEN[5:]}",
        f"?portico_key={TOKEN[5:]}&a=1",
        f"TOKEN={TOKEN[5:]}",
    ],
)
def test_a_credential_is_taken_out_wherever_it_stands(text: str) -> None:
    head, _, signature = TOKEN.rpartition(".")
    shown = without_credentials(f"before {text} after")
    assert signature not in shown
    assert head.partition(".")[2] not in shown
    assert shown.startswith("before ")
    assert shown.endswith(" after")
    assert "<hidden>" in shown


@pytest.mark.parametrize(
    "make",
    [
        lambda size: "eyJ" * (size // 3),
        lambda size: "eyJ" * (size // 3) + ".x",
        lambda size: "eyJ" * (size // 3) + ".x.",
        lambda size: "eyJ." * (size // 4),
        lambda size: "a" * size + ".b.",
        lambda size: "a." * (size // 2),
        lambda size: "token=" * (size // 6),
        lambda size: "bearer " * (size // 7),
    ],
)
def test_looking_for_credentials_costs_in_proportion(make: Callable[[int], str]) -> None:
    assert grows_in_proportion(without_credentials, make, 60_000)
