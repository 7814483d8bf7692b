"""A wrapper becomes a deployment: what it has is found, what is wrong is said in the words of the wire."""

from __future__ import annotations

import asyncio
import enum
import gc
import json
import sys
import weakref
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Optional, Union

import pytest
from haystack.dataclasses import ChatMessage
from pydantic import BaseModel, ValidationError
from starlette.datastructures import Headers, UploadFile

from portico.errors import PipelineError, UnusableOutput
from portico.functions.calling import call, validate
from portico.functions.given import Given
from portico.functions.typed import TypedFunction
from portico.functions.values.json_form import result_bytes
from portico.pipelines.deployment import Deployment, Source
from portico.pipelines.preparing import prepare, prepare_folder
from portico.pipelines.streams.sse_stream import SSEStream
from portico.pipelines.wrapper import BasePipelineWrapper
from tests.pipelines.folders import folder_of

OBJECT = Source(kind="object")


class Wrapper(BasePipelineWrapper):
    def setup(self) -> None:
        self.pipeline = "made"


def deployed(wrapper: Any, name: str = "chat", **settings: Any) -> Deployment:
    return prepare(name, wrapper, Source(kind="object", settings=settings))


def api_of(function: Any, name: str = "chat") -> TypedFunction:
    """That of a wrapper whose ``run_api`` is *function*."""
    api = deployed(type("Made", (Wrapper,), {"run_api": function}), name).api
    assert api is not None
    return api


def run(api: TypedFunction, given: Any = Given(), **arguments: Any) -> Any:  # noqa: B008 - it is frozen
    return asyncio.run(call(api, *validate(api, arguments), given))


class Item(BaseModel):
    size: int = 3
    more: Item | None = None


@dataclass
class Point:
    x: float


class Colour(enum.Enum):
    RED = "red"


# --- what a wrapper has ---------------------------------------------------------------------------------------------


def test_all_that_a_wrapper_has_is_found_bound_to_one_instance() -> None:
    class Full(Wrapper):
        skip_mcp = True

        def run_api(self, question: str) -> str:
            """Answers.

            Args:
                question: What you ask.
            """
            return f"{self.pipeline} {question}"

        def run_chat_completion(self, model: str, messages: list[dict], body: dict) -> str:
            return model

        async def run_response_async(self, model: str, input_items: list[dict], body: dict) -> str:
            return model

        def run_file_upload(self, filename: str, content_type: str, content: bytes, purpose: str) -> dict:
            return {}

    made = deployed(Full)
    assert (made.name, made.pipeline, made.skip_mcp, made.description) == ("chat", "made", True, "Answers.")
    assert isinstance(made.wrapper, Full)
    assert made.api is not None
    assert run(made.api, question="why") == "made why"
    assert made.chat == made.wrapper.run_chat_completion
    assert made.response == made.wrapper.run_response_async
    assert made.upload == made.wrapper.run_file_upload
    assert made.created > 1_700_000_000


def test_what_runs_on_the_loop_is_preferred() -> None:
    class Both(Wrapper):
        def run_api(self) -> str:
            return "thread"

        async def run_api_async(self) -> str:
            return "loop"

        def run_chat_completion(self, model, messages, body):  # type: ignore[no-untyped-def]
            return ""

        async def run_chat_completion_async(self, model, messages, body):  # type: ignore[no-untyped-def]
            return ""

    made = deployed(Both)
    assert made.api is not None
    assert run(made.api) == "loop"
    assert made.chat == made.wrapper.run_chat_completion_async


def test_a_wrapper_for_chats_alone_has_no_api() -> None:
    class Chat(Wrapper):
        """Talks.

        And more."""

        def run_chat_completion(self, model, messages, body):  # type: ignore[no-untyped-def]
            return ""

    made = deployed(Chat)
    assert made.api is None
    assert made.description == "Talks."


def test_an_object_is_set_up_as_it_is() -> None:
    class Own(Wrapper):
        def __init__(self, text: str) -> None:
            self.text = text  # and no super().__init__()

        def run_api(self) -> str:
            return self.text

    mine = Own("mine")
    made = deployed(mine)
    assert made.wrapper is mine
    assert mine.pipeline == "made"


def test_setup_is_called_once_with_the_settings() -> None:
    called = []

    class Set(BasePipelineWrapper):
        def setup(self, model: str = "small", **more: Any) -> None:
            called.append((model, more))

        def run_api(self) -> str:
            return ""

    deployed(Set)
    deployed(Set, model="large", size=3)
    assert called == [("small", {}), ("large", {"size": 3})]


# --- what is wrong --------------------------------------------------------------------------------------------------


def wrong(text: str) -> Any:
    return pytest.raises(PipelineError, match=f"^{text}$")


def test_a_wrapper_that_can_do_nothing_is_refused() -> None:
    with wrong(
        "At least one of run_api, run_api_async, run_chat_completion, run_chat_completion_async, run_response, or "
        "run_response_async must be implemented"
    ):
        deployed(type("Idle", (Wrapper,), {"run_file_upload": lambda self: {}}))


def test_what_it_raises_is_told() -> None:
    class Bad(Wrapper):
        def __init__(self) -> None:
            raise ValueError("no model")

    with wrong("Failed to create pipeline wrapper instance: no model"):
        deployed(Bad)
    with wrong("Failed to create pipeline wrapper instance: .*abstract.*setup.*"):
        deployed(type("Abstract", (BasePipelineWrapper,), {}))


@pytest.mark.parametrize(
    ("error", "said"), [(ValueError("no key"), "no key"), (KeyError(), "KeyError"), (SystemExit(2), "SystemExit: 2")]
)
def test_what_setup_raises_is_told(error: BaseException, said: str) -> None:
    class Bad(BasePipelineWrapper):
        def setup(self) -> None:
            raise error

    with wrong(f"Failed to call setup\\(\\) on pipeline wrapper instance: {said}"):
        deployed(Bad)


def test_setup_cannot_be_a_coroutine_function() -> None:
    class Bad(BasePipelineWrapper):
        async def setup(self) -> None: ...  # type: ignore[override]

        def run_api(self) -> str:
            return ""

    with wrong("Failed to call setup\\(\\) on pipeline wrapper instance: it is a coroutine function.*"):
        deployed(Bad)


def test_settings_that_setup_does_not_take_are_refused() -> None:
    with wrong("Failed to call setup\\(\\) on pipeline wrapper instance: .*'colour'.*"):
        deployed(type("Some", (Wrapper,), {"run_api": lambda self: 1}), colour="red")


def test_a_result_needs_a_type() -> None:
    def untyped(self, x: int):  # type: ignore[no-untyped-def]
        return x

    async def untyped_async(self, x: int):  # type: ignore[no-untyped-def]
        return x

    with wrong("Pipeline wrapper is missing a return type for 'untyped' method"):
        api_of(untyped)
    untyped.__name__ = "run_api"
    with wrong("Pipeline wrapper is missing a return type for 'run_api' method"):
        api_of(untyped)
    untyped_async.__name__ = "run_api_async"
    with wrong("Pipeline wrapper is missing a return type for 'run_api_async' method"):
        deployed(type("Made", (Wrapper,), {"run_api_async": untyped_async}))


def test_a_parameter_that_nobody_can_send_is_refused() -> None:
    def run_api(self, x: object, it: type) -> str:  # type: ignore[no-untyped-def]
        return ""

    with pytest.raises(PipelineError, match="'run_api' cannot be served: The parameter 'it'"):
        api_of(run_api)


# --- how a run is read ----------------------------------------------------------------------------------------------


def test_schemas_are_called_as_the_wire_has_them() -> None:
    def run_api(self, urls: list[str], question: str = "?", n: int = 1) -> dict:  # type: ignore[no-untyped-def]
        """First line of it
        second line.

        More.

        Args:
            urls: Where
                it is.

        Returns:
            What is there.
        """
        return {}

    api = api_of(run_api, "my.pipe line")
    assert (api.name, api.description, api.summary) == ("my.pipe line", "First line of it", "First line of it")
    assert api.arguments.__name__ == "my.pipe lineRunRequest"
    assert api.answer.__name__ == "my.pipe lineRunResponse"
    schema = api.arguments.model_json_schema()
    assert schema["required"] == ["urls"]
    assert {name: one["description"] for name, one in schema["properties"].items()} == {
        "urls": "Where it is.",
        "question": "Parameter 'question'",
        "n": "Parameter 'n'",
    }
    assert api.answer.model_json_schema()["properties"]["result"]["description"] == "What is there."


def test_more_is_ignored_and_numbers_are_lax() -> None:
    def run_api(self, n: int, f: float = 1, b: bool = False, c: Colour = Colour.RED) -> Any:  # type: ignore[no-untyped-def]
        return n, f, b, c

    api = api_of(run_api)
    assert run(api, n="7", f="2.5", b="yes", more=1) == (7, 2.5, True, Colour.RED)
    assert run(api, n=True) == (1, 1, False, Colour.RED)


def test_a_model_arrives_as_a_dict() -> None:
    def run_api(  # type: ignore[no-untyped-def]
        self,
        item: Item,
        items: list[Item] = [],  # noqa: B006
        point: Point | None = None,
        usual: Item = Item(size=9),  # noqa: B008
        either: Item | str = "",
        n: int = 0,
    ) -> Any:
        return item, items, point, usual, either, n

    api = api_of(run_api)
    usual = {"size": 9, "more": None}
    assert run(api, item={"size": "4"}) == ({"size": 4, "more": None}, [], None, usual, "", 0)
    inner = {"size": 1, "more": {"size": 2, "more": None}}
    got = run(api, item={}, items=[{"size": 1, "more": {"size": 2}}], point={"x": 1}, usual={}, either={"size": 1}, n=1)
    three = {"size": 3, "more": None}
    assert got == (three, [inner], {"x": 1.0}, three, {"size": 1, "more": None}, 1)


def test_messages_arrive_as_messages_in_whichever_form_they_come() -> None:
    usual = ChatMessage.from_user("usual")

    def run_api(  # type: ignore[no-untyped-def]
        self, messages: list[ChatMessage], one: ChatMessage | None = None, last: ChatMessage = usual
    ) -> list[ChatMessage]:
        assert all(type(each) is ChatMessage for each in [*messages, last])
        return [*messages, one, last] if one else [*messages, last]

    api = api_of(run_api)
    given = [
        {"role": "user", "content": "one"},
        ChatMessage.from_assistant("two", meta={"a": 1}).to_dict(),
        {"_role": "user", "_content": [{"text": "three"}]},
    ]
    got = run(api, messages=given, one={"role": "system", "content": "four"})
    assert [each.text for each in got] == ["one", "two", "three", "four", "usual"]
    assert got[-1] is usual
    assert json.loads(result_bytes(got[1:2], api)) == {
        "result": [{"_role": "assistant", "_content": [{"text": "two"}], "_name": None, "_meta": {"a": 1}}]
    }
    assert "$ref" in api.input_schema["properties"]["messages"]["items"]
    with pytest.raises(ValidationError, match="it is no message"):
        run(api, messages=[{"role": "nobody", "content": "x"}])


def test_bytes_and_paths_are_texts() -> None:
    def run_api(self, b: bytes = b"", p: Path = Path("/"), files: list[UploadFile] | None = None) -> Any:  # type: ignore[no-untyped-def]
        return b, p, files

    api = api_of(run_api)
    assert run(api, b="hello", p="/tmp/x") == (b"hello", Path("/tmp/x"), None)
    assert [parameter.name for parameter in api.parameters if parameter.upload] == ["files"]


def test_headers_are_given_and_cannot_be_forged() -> None:
    def run_api(self, x: int, headers: Headers | None = None) -> Any:  # type: ignore[no-untyped-def]
        return headers and dict(headers)

    api = api_of(run_api)
    assert list(api.input_schema["properties"]) == ["x"]
    given = Given(headers=[(b"x-who", b"me")])
    assert run(api, given, x=1, headers={"x-who": "you"}) == {"x-who": "me"}

    def ordinary(self, headers: dict) -> Any:  # type: ignore[no-untyped-def]
        return headers

    assert run(api_of(ordinary), given, headers={"x-who": "you"}) == {"x-who": "you"}

    def also(self, *, headers: Optional[Headers] = None) -> Any:  # type: ignore[no-untyped-def]  # noqa: UP045
        return headers and headers["X-Who"]

    assert run(api_of(also), given) == "me"


def test_headers_are_asked_for_in_one_way() -> None:
    def required(self, headers: Headers) -> str: ...  # type: ignore[no-untyped-def, empty-body]
    def no_default(self, headers: Headers | None) -> str: ...  # type: ignore[no-untyped-def, empty-body]
    def not_none(self, headers: Headers = None) -> str: ...  # type: ignore[no-untyped-def, empty-body, assignment]
    def renamed(self, given: Headers | None = None) -> str: ...  # type: ignore[no-untyped-def, empty-body]
    def one_of(self, headers: Headers | dict | None = None) -> str: ...  # type: ignore[no-untyped-def, empty-body]
    def by_position(self, headers: Headers | None = None, /) -> str: ...  # type: ignore[no-untyped-def, empty-body]

    for bad in (required, no_default, not_none, renamed, one_of, by_position):
        with wrong("run_api: request headers must be declared as a keyword parameter 'headers: Headers . None = None'"):
            api_of(bad)

    def chat(self, model, messages, body, headers: Headers): ...  # type: ignore[no-untyped-def]

    with pytest.raises(PipelineError, match=r"^run_chat_completion: request headers"):
        deployed(type("Made", (Wrapper,), {"run_chat_completion": chat}))


# --- what a run gives -----------------------------------------------------------------------------------------------


def answered(kind: Any, value: Any) -> Any:
    def run_api(self) -> str:  # type: ignore[no-untyped-def, empty-body]
        ...

    run_api.__annotations__["return"] = kind
    return json.loads(result_bytes(value, api_of(run_api)))["result"]


def test_a_result_is_of_its_type_or_no_result() -> None:
    assert answered(int, "5") == 5
    assert answered(Item, Item()) == {"size": 3, "more": None}
    assert answered(Literal["a"], "a") == "a"
    with pytest.raises(UnusableOutput):
        answered(str, 5)
    with pytest.raises(UnusableOutput):
        answered(list[int], ["x"])


def test_streams_and_responses_are_said_as_types() -> None:
    from starlette.responses import FileResponse

    for kind in (SSEStream, FileResponse, SSEStream | FileResponse, Union[SSEStream, Generator, None]):  # noqa: UP007 - as people write
        assert answered(kind, None) is None
    assert answered(Union[str, Generator], "x") == "x"  # noqa: UP007
    assert answered(str | SSEStream, "x") == "x"
    with pytest.raises(UnusableOutput):
        answered(str | SSEStream, 5)


def test_a_generator_streams() -> None:
    def run_api(self, n: int) -> Generator[str, None, None]:  # type: ignore[no-untyped-def]
        yield from map(str, range(n))

    api = api_of(run_api)
    assert api.streams
    assert run(api, n=3) == ["0", "1", "2"]


# --- of folders -----------------------------------------------------------------------------------------------------

GREETER = """
class PipelineWrapper(BasePipelineWrapper):
    def setup(self, greeting: str = "Hello"):
        self.greeting = greeting

    def run_api(self, name: str) -> str:
        return f"{self.greeting} {name}"
"""


def test_a_folder_is_prepared_with_settings_of_its_own(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "greeter", GREETER)
    one = prepare_folder("one", folder)
    two = prepare_folder("two", folder, {"greeting": "Servus"})
    assert one.api is not None
    assert two.api is not None
    assert (run(one.api, name="you"), run(two.api, name="you")) == ("Hello you", "Servus you")
    assert two.source == Source(kind="wrapper", path=folder, settings={"greeting": "Servus"})
    one.discard()
    two.discard()


def test_texts_as_annotations_are_looked_up(tmp_path: Path) -> None:
    text = """
    from typing import TYPE_CHECKING
    import pydantic
    from starlette.datastructures import Headers
    import helpers
    if TYPE_CHECKING:
        from nowhere import Result

    class Item(pydantic.BaseModel):
        inner: "Item | None" = None
        kind: helpers.Kind = "a"

    class PipelineWrapper(BasePipelineWrapper):
        def setup(self) -> None: ...
        def run_api(self, item: Item, others: list["Item"] = [], headers: Headers | None = None) -> Result:
            return item["kind"], others
    """
    folder = folder_of(tmp_path / "a", text, helpers="from typing import Literal\nKind = Literal['a', 'b']")
    wrapper = folder / "pipeline_wrapper.py"
    wrapper.write_text("from __future__ import annotations\n" + wrapper.read_text())
    made = prepare_folder("a", folder)
    assert made.api is not None
    assert run(made.api, item={"kind": "b"}, others=[{}]) == ("b", [{"inner": None, "kind": "a"}])
    made.discard()


def test_a_folder_whose_setup_fails_leaves_no_module(tmp_path: Path) -> None:
    before = set(sys.modules)
    folder = folder_of(tmp_path / "bad", GREETER.replace("self.greeting = greeting", "import late; raise OSError('x')"))
    (folder / "late.py").write_text("")
    with wrong("Failed to call setup\\(\\) on pipeline wrapper instance: x"):
        prepare_folder("bad", folder)
    assert {name for name in set(sys.modules) - before if name.startswith("portico_pipelines.")} == set()


HARD = {
    "several": """
        class Other(BasePipelineWrapper):
            def setup(self): ...
        class PipelineWrapper(Other):
            def run_api(self) -> str: return "ok"
        class Third(PipelineWrapper):
            def run_api(self) -> str: return "third"
    """,
    "imported": "from helpers import Made as PipelineWrapper",
    "inherited": """
        from helpers import Made
        class PipelineWrapper(Made):
            async def run_chat_completion_async(self, model, messages, body): return "x"
    """,
    "own_init": """
        class PipelineWrapper(BasePipelineWrapper):
            def __init__(self, word="ok"):
                self.word = word
            def setup(self): ...
            def run_api(self) -> str: return self.word
    """,
    "slots_and_metaclass": """
        from abc import ABCMeta
        class Meta(ABCMeta):
            made = 0
            def __call__(cls, *args, **kwargs):
                Meta.made += 1
                return super().__call__(*args, **kwargs)
            def __bool__(cls): return False
            def __len__(cls): return 0
        class PipelineWrapper(BasePipelineWrapper, metaclass=Meta):
            def setup(self): assert Meta.made == 1
            def __bool__(self): return False
            def __eq__(self, other): raise RuntimeError
            __hash__ = None
            def run_api(self) -> str: return "ok"
    """,
    "threads_in_setup": """
        import threading
        class PipelineWrapper(BasePipelineWrapper):
            def setup(self):
                def work():
                    import helpers
                    self.word = helpers.WORD
                thread = threading.Thread(target=work)
                thread.start()
                thread.join()
            def run_api(self) -> str: return self.word
    """,
    "without_the_base_class": """
        class PipelineWrapper:
            def setup(self): ...
            def run_api(self) -> str: return "ok"
    """,
    "static_and_partial": """
        import functools
        class PipelineWrapper(BasePipelineWrapper):
            def setup(self): ...
            @staticmethod
            def run_api(word: str = "ok") -> str: return word
    """,
    "wrapped": """
        import functools
        def traced(function):
            @functools.wraps(function)
            def wrapper(*args, **kwargs): return function(*args, **kwargs)
            return wrapper
        class PipelineWrapper(BasePipelineWrapper):
            def setup(self): ...
            @traced
            def run_api(self, word: "str" = "ok") -> "str": return word
    """,
    "dataclass": """
        from dataclasses import dataclass, field
        @dataclass
        class Part:
            words: "list[str]" = field(default_factory=lambda: ["ok"])
        @dataclass
        class PipelineWrapper(BasePipelineWrapper):
            part: Part = field(default_factory=Part)
            def setup(self): ...
            def run_api(self) -> str: return self.part.words[0]
    """,
    "made_in_setup": """
        class PipelineWrapper(BasePipelineWrapper):
            def setup(self):
                def run_api(word: str = "ok") -> str: return word
                self.run_api = run_api
    """,
    "pickled": """
        import copy, pickle
        class Part: ...
        class PipelineWrapper(BasePipelineWrapper):
            def setup(self):
                self.part = pickle.loads(pickle.dumps(Part()))
                assert type(copy.deepcopy(self).part) is Part
            def run_api(self) -> str: return "ok" if type(self.part) is Part else "other"
    """,
}


@pytest.mark.parametrize("case", HARD)
def test_wrappers_of_every_kind_run(tmp_path: Path, case: str) -> None:
    helpers = """
    from portico.pipelines.wrapper import BasePipelineWrapper
    WORD = "ok"
    class Made(BasePipelineWrapper):
        def setup(self): self.word = WORD
        def run_api(self) -> str: return self.word
    """
    made = prepare_folder(case, folder_of(tmp_path / case, HARD[case], helpers=helpers))
    assert made.api is not None
    assert run(made.api) == "ok"
    made.discard()


@pytest.mark.parametrize(
    "method",
    [
        "def run_api(self) -> str: return 'x'",
        "def run_api(self, item: Item = Item()) -> Any: return item",
        "def run_api(self, part: Part | None = None) -> Part: return Part()",
        "def run_api(self, parts: list[Part] = []) -> dict: return {'item': Item(), 'part': Part()}",
        "def run_api(self) -> list[Item]: return [Item()]",
    ],
)
def test_what_is_let_go_of_is_freed(tmp_path: Path, method: str) -> None:
    """A wrapper's modules may hold models of some GiB: after an undeploy nothing of ours keeps them."""
    text = """
    from dataclasses import dataclass
    from typing import Any
    from pydantic import BaseModel
    import helpers
    class Item(BaseModel):
        size: int = 1
    @dataclass
    class Part:
        size: int = 1
    class PipelineWrapper(BasePipelineWrapper):
        def setup(self): ...
    """
    folder = folder_of(tmp_path / "chat", text + f"    {method}\n", helpers="class Weights: ...\nWEIGHTS = Weights()")

    def deployed_once() -> weakref.ref[Any]:
        made = prepare_folder("chat", folder)
        assert made.api is not None
        result_bytes(run(made.api), made.api)
        weights = weakref.ref(sys.modules[made.wrapper.__module__.replace("pipeline_wrapper", "helpers")].WEIGHTS)
        assert weights() is not None
        made.discard()
        return weights

    weights = deployed_once()
    gc.collect()
    assert weights() is None
