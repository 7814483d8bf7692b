"""Files by the OpenAI API: to the first wrapper that takes them, and back as file objects."""

import logging

import pytest
from fastapi import HTTPException

from portico.calls.held import INCOMING
from portico.pipelines.chats.chat import PipelineModels
from portico.pipelines.chats.files import MOST_BYTES, FilesRoute
from tests.models.conftest import serve  # noqa: F401 -- a fixture
from tests.pipelines.openai_wrappers import Wrapper, request, table

BOUNDARY = "limit"


def form(*parts):
    """A form of (name, filename or None, media type or None, bytes)."""
    body = b""
    for name, filename, media_type, content in parts:
        more = f'; filename="{filename}"' if filename is not None else ""
        kind = f"Content-Type: {media_type}\r\n" if media_type else ""
        body += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n{kind}\r\n'.encode()
        body += content + b"\r\n"
    return body + f"--{BOUNDARY}--\r\n".encode()


FILE = ("file", "a.txt", "text/plain", b"abc")
PURPOSE = ("purpose", None, None, b"user_data")


def send(app, *parts, path="/v1/files", method="POST", more=()):
    headers = [(b"content-type", f"multipart/form-data; boundary={BOUNDARY}".encode()), *more]
    return request(app, path, form(*(parts or (FILE, PURPOSE))), method=method, headers=headers)


def taking(upload):
    """A server with one wrapper that takes files by *upload*, and those beside it that take none."""
    takes = type("PipelineWrapper", (Wrapper,), {"run_file_upload": upload})()
    return FilesRoute(table(takes_none=Wrapper(), takes=takes, later=Taking()))


class Taking(Wrapper):
    def run_file_upload(self, filename, content_type, content, purpose):
        raise AssertionError("the first one takes it")


@pytest.mark.parametrize("path", ["/files", "/v1/files"])
def test_the_first_wrapper_that_takes_files_gets_it_whole(path):
    given = []

    def upload(self, filename, content_type, content, purpose):
        given.append((filename, content_type, content, purpose))
        return {"id": "file-own", "bytes": 7, "created_at": 5, "filename": filename, "purpose": purpose, "more": 1}

    answer = send(taking(upload), path=path)
    assert given == [("a.txt", "text/plain", b"abc", "user_data")]
    assert answer.json == {
        "id": "file-own",
        "object": "file",
        "bytes": 7,
        "created_at": 5,
        "filename": "a.txt",
        "purpose": "user_data",
        "status": "processed",
        "more": 1,
    }


def test_what_a_wrapper_does_not_say_is_filled_in():
    answer = send(taking(lambda self, *args: {"status": "uploaded"}))
    assert answer.json["id"].startswith("file-")
    assert answer.json["created_at"] > 1_700_000_000
    assert (answer.json["bytes"], answer.json["status"], answer.json["object"]) == (3, "uploaded", "file")


def test_an_asynchronous_wrapper():
    async def upload(self, filename, content_type, content, purpose):
        return {"id": "file-a"}

    assert send(taking(upload)).json["id"] == "file-a"


def test_without_a_wrapper_for_files_the_answer_is_the_same_and_the_log_says_so(caplog):
    with caplog.at_level(logging.WARNING):
        answer = send(FilesRoute(table(p=Wrapper())))
    assert answer.json["id"].startswith("file-")
    assert (answer.json["bytes"], answer.json["status"], answer.json["filename"]) == (3, "processed", "a.txt")
    assert "run_file_upload" in caplog.text


def test_the_name_of_a_file_leads_nowhere():
    answer = send(taking(lambda self, name, *rest: {"id": name}), ("file", "../../etc/passwd", None, b""), PURPOSE)
    assert answer.json["id"] == answer.json["filename"] == "passwd"


def test_a_failure_is_told_and_shown_to_the_author(caplog):
    def fail(self, *args):
        raise ValueError("boom")

    answer = send(taking(fail))
    assert (answer.status, answer.json["detail"]) == (500, "File upload failed: boom")
    assert answer.error["message"] == "File upload failed: boom"
    assert "ValueError: boom" in caplog.text


def test_an_http_exception_passes():
    def refuse(self, *args):
        raise HTTPException(413, "too big", headers={"X-Why": "size"})

    answer = send(taking(refuse))
    assert (answer.status, answer.json["detail"], answer.headers["x-why"]) == (413, "too big", "size")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (5, "run_file_upload returned an unsupported type"),
        (None, "run_file_upload returned an unsupported type"),
        ({"bytes": "three"}, "'bytes' as str, not int"),
        ({"id": 5}, "'id' as int, not str"),
        ({"extra": object()}, "cannot be written as JSON"),
    ],
    ids=["int", "None", "bytes", "id", "no JSON"],
)
def test_a_result_that_is_no_file_object_is_500(given, words):
    answer = send(taking(lambda self, *args: given))
    assert answer.status == 500
    assert words in answer.json["detail"]


@pytest.mark.parametrize(
    ("parts", "field", "kind"),
    [
        ((PURPOSE,), "file", "missing"),
        ((FILE,), "purpose", "missing"),
        ((PURPOSE, ("file", None, None, b"abc")), "file", "value_error"),
        ((FILE, ("purpose", "a.txt", None, b"abc")), "purpose", "value_error"),
    ],
    ids=["no file", "no purpose", "text", "file"],
)
def test_a_form_without_a_file_or_a_purpose_is_422(parts, field, kind):
    answer = send(taking(Taking.run_file_upload), *parts)
    assert answer.status == 422
    assert (answer.json["detail"][0]["loc"], answer.json["detail"][0]["type"]) == (["body", field], kind)


def test_other_bodies_and_methods():
    app = taking(Taking.run_file_upload)
    for media_type in (b"application/json", b"application/x-www-form-urlencoded"):
        answer = request(app, "/files", {"purpose": "x"}, headers=[(b"content-type", media_type)])
        assert (answer.status, answer.json["detail"][0]["loc"]) == (422, ["body", "file"])
        assert "multipart/form-data" in answer.error["message"]
    answer = send(app, method="GET")
    assert (answer.status, answer.headers["allow"], answer.json["detail"]) == (405, "POST", "Method Not Allowed")
    assert send(app, path="/v1/files/file-1", method="GET").status == 404
    assert send(app, more=[(b"sec-fetch-site", b"cross-site")]).status == 403


def test_a_file_that_is_too_large_is_refused_before_it_comes():
    app = taking(Taking.run_file_upload)
    answer = send(app, more=[(b"content-length", b"%d" % (MOST_BYTES + 2**20))])
    assert answer.status == 413
    answer = send(app, FILE, ("purpose", None, None, b"x" * 5000))
    assert answer.status == 413


def test_what_is_held_while_a_wrapper_runs_counts_for_its_caller():
    held = []

    def upload(self, filename, content_type, content, purpose):
        held.append(INCOMING.total)
        return {}

    big = ("file", "big.bin", None, b"x" * 1_000_000)
    assert send(taking(upload), big, PURPOSE).json["bytes"] == 1_000_000
    assert held[0] >= 900_000
    assert INCOMING.total == 0


def test_who_holds_too_much_is_told_to_wait():
    app = taking(Taking.run_file_upload)
    INCOMING.take(" ", INCOMING.of_a_caller - 100_000)
    try:
        answer = send(app, ("file", "big.bin", None, b"x" * 1_000_000), PURPOSE)
    finally:
        INCOMING.give_back(" ", INCOMING.of_a_caller - 100_000)
    assert answer.status == 429
    assert answer.headers["retry-after"]


def test_openais_client_sends_files(serve):  # noqa: F811
    import openai

    app = taking(lambda self, filename, content_type, content, purpose: {"id": "file-1", "bytes": len(content)})
    models = PipelineModels(table())

    async def served(scope, receive, send):
        await (app if scope["type"] == "http" else models)(scope, receive, send)

    url = serve(served)
    with openai.OpenAI(base_url=f"{url}/v1", api_key="any") as client:
        made = client.files.create(file=("b.bin", b"\x00\xff" * 500_000), purpose="user_data")
    assert (made.id, made.bytes, made.filename, made.purpose, made.status) == (
        "file-1",
        1_000_000,
        "b.bin",
        "user_data",
        "processed",
    )
