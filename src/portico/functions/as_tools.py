"""A typed function as a tool: reads an agent's arguments, calls the function, and gives its result or what went wrong.

What goes wrong in a call is a result, which the model that called can read and act on: a wrong argument, an exception,
a function that is busy. Source: MCP specification, "Tools", "Error Handling".
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from portico.errors import Busy, FunctionError, UnusableOutput, UnusableRequest
from portico.functions.calling import call, validate
from portico.functions.given import Given
from portico.functions.invalid import details_of
from portico.functions.tool_content import ResultForm, result_form, tool_result
from portico.functions.typed import TypedFunction
from portico.functions.values.encodings import is_quick
from portico.functions.values.off_loop import off_loop
from portico.functions.values.uploads import CallFiles, is_quick_to_read
from portico.tools.tool import Tool, ToolCaller, ToolResult

log = logging.getLogger(__name__)

Report = Callable[[BaseException], object]
"""Shows an exception to the function's author."""

Give = Callable[[TypedFunction, list[Any], dict[str, Any], Given, ResultForm], Awaitable[ToolResult]]
"""Calls the function with arguments that were read, and makes of its result what an agent gets.

Raises `FunctionError`, `Busy` and `UnusableOutput`, whose texts the agent is told.
"""

_MOST_ERRORS = 20
"""Wrong arguments that are told: what a model reads costs."""
_MOST_PLACE = 200
"""Characters of where one is: names of fields are the caller's own."""


def tools_of(functions: Iterable[TypedFunction], report: Report | None = None) -> list[Tool]:
    """The tools of all *functions* that agents are told of. *report* shows exceptions to the author."""
    return [tool_of(typed, report) for typed in functions if typed.options.tool]


def tool_of(
    typed: TypedFunction,
    report: Report | None = None,
    *,
    name: str = "",
    form: ResultForm | None = None,
    give: Give | None = None,
) -> Tool:
    """One function as a tool.

    *name* is the tool's, if it is not the function's. *give* is another way to call it, whose results have *form*.
    """
    form = form or result_form(typed)
    uploads = any(parameter.upload for parameter in typed.parameters)

    async def run(arguments: Mapping[str, Any], caller: ToolCaller) -> ToolResult:
        if uploads:
            with CallFiles() as files:
                return await _called(typed, arguments, caller, form, report, files, give or _give)
        return await _called(typed, arguments, caller, form, report, None, give or _give)

    return Tool(
        name=name or typed.name,
        call=run,
        title=typed.title,
        description=typed.description,
        input_schema=typed.input_schema,
        output_schema=form.schema,
        annotations=typed.options.annotations,
    )


async def _called(
    typed: TypedFunction,
    arguments: Mapping[str, Any],
    caller: ToolCaller,
    form: ResultForm,
    report: Report | None,
    files: CallFiles | None,
    give: Give,
) -> ToolResult:
    from pydantic import ValidationError

    try:
        if files is None or is_quick_to_read(arguments, files):
            args, kwargs = validate(typed, arguments, files, report)
        else:
            args, kwargs = await off_loop(validate, typed, arguments, files, report)
    except ValidationError as error:
        return failed(wrong_arguments(typed.name, error))
    except (FunctionError, UnusableRequest) as error:  # a type's own code failed, or there was no room for a file
        return failed(str(error))
    given = Given(headers=caller.headers, identity=caller.identity, progress=caller.progress, report=report)
    try:
        return await give(typed, args, kwargs, given, form)
    except (FunctionError, Busy) as error:
        return failed(str(error))
    except UnusableOutput as error:
        if report is not None:
            report(error)
        else:
            log.error("The result of %r cannot be told", typed.name, exc_info=error)
        return failed(str(error))


async def _give(
    typed: TypedFunction, args: list[Any], kwargs: dict[str, Any], given: Given, form: ResultForm
) -> ToolResult:
    value = await call(typed, args, kwargs, given)
    if is_quick(value):
        return tool_result(value, typed, form)
    return await off_loop(tool_result, value, typed, form)


def failed(text: str) -> ToolResult:
    """What an agent is told of a call that went wrong."""
    return ToolResult(content=({"type": "text", "text": text},), is_error=True)


def wrong_arguments(name: str, error: Any) -> str:
    """Which arguments are wrong, and how. What was given is not repeated."""
    told = []
    for one in details_of(error, "arguments")[:_MOST_ERRORS]:
        where = ".".join(str(part) for part in one["loc"][1:])
        told.append(f"- {where[:_MOST_PLACE] or 'arguments'}: {one['msg']}")
    return "\n".join([f"{name} cannot be called with these arguments:", *told])
