"""The conftest of the tests inside Pyodide: what cannot run there is skipped, and each skip says why.

Under another name here, since pytest would take it for one of all tests.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    # Making examples takes several times as long here as in CPython, for which the check's bound is.
    "pyodide",
    deadline=None,
    max_examples=15,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("pyodide")

_NO_SERVER = "a client over TCP needs a server on a thread"
_NO_PROCESS = "needs a process"
_NO_THREAD = "is about threads"
_NO_WHEEL = "needs a package with no wheel for Pyodide: "
_SCHEMAS = _NO_WHEEL + "jsonschema's rpds-py"
_SDK = _NO_WHEEL + "cryptography and rpds-py, for the SDK of MCP, whose tests here are in tests/pyodide/test_tools.py"

NO_FILE = {
    "tests/models/test_app_sdk.py": _NO_SERVER,
    "tests/models/test_openapi.py": _NO_PROCESS,
    "tests/models/test_app_import.py": _NO_PROCESS,
    "tests/models/test_embeddings.py": _NO_WHEEL + "numpy",
    "tests/models/test_delivery_leaving.py": "waits on threads for what models do meanwhile",
    "tests/calls/test_pump.py": _NO_THREAD,
    "tests/calls/test_other_loop.py": _NO_THREAD,
    "tests/asgi/test_mount.py": _NO_WHEEL + "falcon",
    "tests/asgi/test_wsgi_threads.py": _NO_THREAD,
    "tests/calls/test_shared_threads.py": _NO_THREAD,
    "tests/models/test_injection_signatures.py": _NO_WHEEL + "numpy",
    "tests/models/test_foreign_handed_on.py": _NO_WHEEL + "langchain-core",
    "tests/models/test_foreign_nothing_lost.py": _NO_WHEEL + "langchain-core",
    "tests/adapters/test_callables.py": _NO_WHEEL + "numpy, langchain-core, and markupsafe, for flask",
    "tests/adapters/test_take.py": _NO_WHEEL + "markupsafe, for flask",
    "tests/adapters/test_take_served.py": _NO_PROCESS,
    "tests/adapters/test_libraries_mcp.py": _NO_SERVER,
    "tests/adapters/test_pipelines.py": _NO_WHEEL + "haystack-ai",
    "tests/adapters/test_pipelines_wrappers.py": _NO_WHEEL + "haystack-ai, and no server on a socket",
    "tests/functions/test_openapi.py": _NO_WHEEL + "openapi-spec-validator",
    "tests/functions/test_server_tools.py": _SDK,
    "tests/functions/test_texts.py": _NO_WHEEL + "numpy",
    "tests/functions/test_tool_content.py": _SCHEMAS,
    "tests/functions/values/test_annotations.py": _NO_WHEEL + "numpy",
    "tests/functions/values/test_annotations_any_json.py": _NO_WHEEL + "numpy",
    "tests/functions/values/test_arrays.py": _NO_WHEEL + "numpy",
    "tests/functions/values/test_arrays_round_trips.py": _NO_WHEEL + "numpy",
    "tests/functions/values/test_arrow.py": _NO_WHEEL + "polars",
    "tests/functions/values/test_classes.py": _NO_WHEEL + "numpy",
    "tests/functions/values/test_displays.py": _NO_WHEEL + "ipython",
    "tests/functions/values/test_encodings.py": _NO_WHEEL + "matplotlib",
    "tests/functions/values/test_images.py": _NO_WHEEL + "pillow",
    "tests/functions/values/test_images_hostile.py": _NO_WHEEL + "pillow",
    "tests/functions/values/test_json_form.py": _NO_WHEEL + "numpy",
    "tests/functions/values/test_tables.py": _NO_WHEEL + "pandas",
    "tests/functions/values/test_tables_round_trips.py": _NO_WHEEL + "pandas",
    "tests/functions/values/test_uploads_served.py": _NO_WHEEL + "numpy",
    "tests/functions/values/test_off_loop.py": _NO_THREAD,
    "tests/functions/values/test_upload_folder.py": _NO_PROCESS,
    "tests/tools/test_calling.py": _SDK,
    "tests/tools/test_changes.py": _SDK,
    "tests/tools/test_endpoint_javascript.py": _NO_PROCESS,
    "tests/tools/test_endpoint_old_client.py": _NO_PROCESS,
    "tests/tools/test_handshake.py": _SDK,
    "tests/tools/test_modern.py": _SDK,
    "tests/tools/test_server.py": _SDK,
    "tests/tools/test_server_life.py": _SDK,
    "tests/tools/test_sessions.py": _SDK,
    "tests/tools/test_wire_fuzz.py": _SDK,
    "tests/asgi/test_adapt.py": _NO_WHEEL + "markupsafe, for flask",
    "tests/transports/test_whole_frames.py": "is about the websockets library, which CPython's transport alone uses",
}
"""Whole files."""

NO_TEST = {
    "functions/test_as_tools.py::test_progress_is_told_from_threads_too": _NO_THREAD,
    "functions/test_as_tools.py::test_who_cancels_the_call_stops_the_function": _NO_THREAD,
    "test_one_that_leaves_the_line_leaves_no_gap_and_a_full_line_refuses": _NO_THREAD,
    "test_a_thread_that_goes_on_after_its_caller_left_has_its_turn_until_it_ends": _NO_THREAD,
    "test_threads_whose_callers_left_are_bounded_where_calls_are_not": _NO_THREAD,
    "test_a_caller_who_leaves_closes_generators": _NO_THREAD,
    "test_a_function_that_hangs_keeps_no_caller_and_is_told": _NO_THREAD,
    "test_a_function_that_says_how_far_it_is_ends_when_its_caller_has_left": _NO_THREAD,
    "test_threads_that_a_function_leaves_keep_no_caller": _NO_THREAD,
    "test_choices_that_are_told_apart_may_be_as_deep_as_any_json": "pydantic takes fewer levels in a tab",
    "test_mistakes.py::test_a_body_full_of_mistakes_has_few": "a tab does not tell a thread's processor time",
    "test_bodies_that_never_end_take_what_one_caller_may[a message for tools]": _SDK,
    "test_a_large_file_is_on_a_disk_and_not_counted": "a tab has no disk: files count there",
    "test_large_files_are_on_a_disk_and_not_in_memory": "a tab has no disk, and takes smaller forms",
    "test_a_table_and_an_array_are_one_file_each": _NO_WHEEL + "numpy",
    "test_serving_imports_nothing_that_a_cell_may_import_next": _NO_PROCESS,
    "functions/test_streams.py::test_progress_is_told_while_the_function_works": _NO_THREAD,
    "functions/test_streams.py::test_who_leaves_ends_the_generator_within_a_second": _NO_THREAD,
    "test_signature_types.py::test_the_schema_says_what_is_taken": _SCHEMAS,
    "test_signature_types.py::test_references_are_kept_whole": _SCHEMAS,
    "asgi/test_event_functions.py::test_a_plain_function_does_not_hold_the_loop": _NO_THREAD,
    "on-a-thread]": _NO_THREAD,
    "adapters/test_others.py::test_the_users_interrupt_is_theirs": "there is no Ctrl-C in a tab",
    "calls/test_run.py::test_a_cancelled_call_is_left_before_its_thread_ends": _NO_THREAD,
    "calls/test_run.py::test_a_cancelled_call_closes_its_generator[False]": _NO_THREAD,
    "models/test_delivery_keep_alive.py::test_chat_gets_the_head_the_role_and_empty_deltas[True]": _NO_THREAD,
    "models/test_delivery_keep_alive.py::test_a_thread_does_not_keep_the_loop_from_turning": _NO_THREAD,
    "models/test_shapes.py::test_every_shape_through_every_endpoint[threads-": _NO_THREAD,
    "test_a_stop_sequence_across_pieces_ends_the_answer_and_the_generator[on_thread-": _NO_THREAD,
    "models/test_app_every_endpoint.py::test_leaving_while_vectors_are_made": "waits on threads for what models do",
    'models/test_stop_and_limits.py::test_structured_output_is_checked[{"nom": "Tom"}-form1-False]': _SCHEMAS,
    "models/test_stop_and_limits.py::test_a_schema_cannot_make_the_server_fetch_anything": _SCHEMAS,
    "models/test_structured.py::test_references_are_followed_only_so_often": _SCHEMAS,
    "models/test_structured.py::test_a_long_list_of_what_is_referred_to_is_checked": _SCHEMAS,
    "models/test_structured.py::test_all_else_is_checked": _SCHEMAS,
    "models/test_fields_bad_input.py::test_chat[{'response_format': {'type': 'json_schema', 'json_schema': "
    "{-response_format.json_schema.schema2]": _SCHEMAS,
    "models/test_fields_bad_input.py::test_chat[{'response_format': {'type': 'json_schema', 'json_schema': "
    "{-response_format.json_schema.schema3]": _SCHEMAS,
}
"""Tests, by what their node id holds."""

NO_FIXTURE = {"serve": _NO_SERVER, "sdk": _NO_SERVER, "fuzz_seconds": "fuzzing is for CPython, which is faster"}
"""Tests that use a fixture."""


def pytest_ignore_collect(collection_path: object, config: pytest.Config) -> bool | None:
    return True if any(str(collection_path).endswith("/" + path) for path in NO_FILE) else None


def pytest_report_header() -> list[str]:
    return [f"not here: {path}: {why}" for path, why in NO_FILE.items()]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        reasons = [why for start, why in NO_TEST.items() if start in item.nodeid]
        reasons += [why for fixture, why in NO_FIXTURE.items() if fixture in getattr(item, "fixturenames", ())]
        if reasons:
            item.add_marker(pytest.mark.skip(reason=reasons[0]))
