"""Which arguments a function gets."""

import asyncio

import pytest

from portico.models import Cancel, Live, chat_server, get_last_user_message, model
from tests.models.visitor import MESSAGES, ask, chat, visit

IMAGE = {
    "role": "user",
    "content": [{"type": "text", "text": "see"}, {"type": "input_audio", "input_audio": {"data": "AAAA"}}],
}


def seen_by(function_of_seen, body, **more):
    seen = []
    answer = ask(chat_server({"m": function_of_seen(seen)}, **more), "POST", "/v1/chat/completions", body)
    assert answer.status == 200, answer.body
    return seen[0]


def test_parameters_by_name():
    def make(seen):
        def function(messages, model, request, tools, headers, user, cancel, temperature, max_tokens, style="plain"):
            seen.append((messages, model, request, tools, headers, user, cancel, temperature, max_tokens, style))
            return "x"

        return function

    body = {"model": "m", "messages": MESSAGES, "temperature": 0.5, "user": "bob", "max_completion_tokens": 7}
    messages, model, request, tools, headers, user, cancel, temperature, max_tokens, style = seen_by(make, body)
    assert messages == MESSAGES
    assert model == "m"
    assert request == {**body, "max_tokens": 7}
    assert tools is None
    assert headers == {}
    assert user == "bob"
    assert isinstance(cancel, Cancel)
    assert (temperature, max_tokens, style) == (0.5, 7, "plain")


def test_unknown_fields_reach_the_function():
    def make(seen):
        def function(request, style):
            seen.append((request, style))
            return "x"

        return function

    body = {"model": "m", "messages": [IMAGE], "style": "wild", "extra": {"deep": [1]}}
    assert seen_by(make, body) == (body, "wild")


@pytest.mark.parametrize(
    "make",
    [
        lambda seen: lambda anything: seen.append(anything) or "x",
        lambda seen: lambda body: seen.append(body) or "x",
        lambda seen: lambda request, /: seen.append(request) or "x",
        lambda seen: lambda *args: seen.append(args[0]) or "x",
        lambda seen: lambda whole, temperature=1: seen.append(whole) or "x",
    ],
)
def test_the_one_positional_parameter_is_the_whole_body(make):
    body = {"model": "m", "messages": MESSAGES}
    assert seen_by(make, body) == body


def test_keyword_arguments_get_the_fields_left():
    def make(seen):
        def function(messages, **options):
            seen.append(options)
            return "x"

        return function

    body = {"model": "m", "messages": MESSAGES, "top_p": 0.1, "stream": False}
    assert seen_by(make, body) == {"model": "m", "top_p": 0.1, "stream": False}


def test_a_function_without_parameters():
    assert chat(chat_server({"m": lambda: "x"}), model="m").json["choices"][0]["message"]["content"] == "x"


def test_the_visitor_whom_the_hub_has_verified_is_the_user():
    seen = []
    app = chat_server({"m": lambda messages, user: seen.append(user) or "x"})
    who = {"portico": {"id": "alice", "access": "private"}}
    ask(app, "POST", "/v1/chat/completions", {"messages": MESSAGES, "user": "bob"}, extensions=who)
    assert seen == [{"id": "alice", "access": "private"}]


def test_headers_have_lower_case_names():
    seen = []
    app = chat_server({"m": lambda messages, headers: seen.append(headers) or "x"})
    ask(app, "POST", "/v1/chat/completions", {"messages": MESSAGES}, headers={"X-Thing": "1"})
    assert seen == [{"x-thing": "1"}]


def test_a_function_may_change_its_arguments():
    def changes(request):
        request["messages"] = None
        return str(request.pop("n"))

    whole = chat(chat_server({"m": changes}), model="m", n=2).json
    assert [choice["message"]["content"] for choice in whole["choices"]] == ["2", "2"]


def test_the_decorator_keeps_the_function():
    @model("cat/with:colon", embeddings=False)
    async def cat(messages):
        return "meow"

    assert asyncio.run(cat([])) == "meow"
    app = chat_server([cat])
    assert app.model_ids == ["cat/with:colon"]
    assert chat(chat_server(cat), model="cat/with:colon").status == 200
    assert chat_server({"other": cat}).model_ids == ["other"]


def test_the_decorator_needs_no_parentheses():
    @model
    def plain(messages):
        return "x"

    assert chat_server(plain).model_ids == ["plain"]
    assert chat_server({"v": model("v", kind="embedding")(len)}).kinds == {"v": "embedding"}


def test_a_function_is_swapped_live():
    space = {"cat": lambda messages: "old"}
    app = chat_server({"live": Live(lambda: space["cat"]), "fixed": lambda messages: "old"})

    def says(id):
        return chat(app, model=id).json["choices"][0]["message"]["content"]

    assert says("live") == "old"
    space["cat"] = lambda request: "new"
    assert says("live") == "new"
    app.replace({"fixed": lambda messages: "new"})
    assert says("fixed") == "new"
    assert app.model_ids == ["fixed"]


def test_a_live_function_that_has_gone_is_503():
    space = {"cat": lambda messages: "old"}
    app = chat_server({"live": Live(lambda: space["cat"])})
    space.clear()
    answer = chat(app, model="live")
    assert answer.status == 503
    assert answer.headers["retry-after"] == "5"


def test_a_stream_goes_on_with_the_function_it_began_with():
    async def run():
        gate = asyncio.Event()

        async def old(messages):
            yield "old "
            await gate.wait()
            yield "still old"

        app = chat_server({"m": old})
        body = {"messages": MESSAGES, "stream": True}
        first = asyncio.create_task(visit(app, "POST", "/v1/chat/completions", body))
        while app._engine.active == 0:  # noqa: ASYNC110 -- the app tells no one of it
            await asyncio.sleep(0)
        app.replace({"m": lambda messages: "new"})
        gate.set()
        return (await first).text

    assert asyncio.run(run()) == "old still old"


def test_integers_may_be_written_as_other_programs_write_them():
    """``3.0`` is an integer in JSON; the function gets one."""
    seen = []
    app = chat_server({"m": lambda n, max_tokens, seed: seen.append((n, max_tokens, seed)) or "x"})
    assert len(chat(app, n=2.0, max_tokens=1e3, seed=-7.0).json["choices"]) == 2
    assert repr(seen) == "[(2, 1000, -7), (2, 1000, -7)]"


def test_the_last_user_message():
    assert get_last_user_message([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]) == "a"
    assert get_last_user_message([IMAGE]) == "see"
    assert get_last_user_message([]) is None
