"""Wrappers are loaded where they lie, each with modules of its own, and whatever goes wrong is said and undone."""

from __future__ import annotations

import os
import pickle
import random
import re
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from portico.errors import PipelineError
from portico.pipelines import loading
from portico.pipelines.loading import ROOT, Loaded, load_wrapper
from tests.pipelines.folders import folder_of


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    path = [*sys.path]
    yield
    for package in [*loading._packages.values()]:
        package.discard()
    assert loaded_modules() == set()
    loading._alive.clear()
    sys.path[:] = path


def loaded_modules() -> set[str]:
    return {name for name in sys.modules if name.startswith(f"{ROOT}.")}


def call(loaded: Loaded, *args: object) -> object:
    return loaded.wrapper.run_api(None, *args)


WRAPPER = """
class PipelineWrapper(BasePipelineWrapper):
    def setup(self):
        pass

    def run_api(self, *args):
        {}
"""


def test_a_file_knows_where_it_lies(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "chat", "from pathlib import Path" + WRAPPER.format("return Path(__file__)"))
    loaded = load_wrapper("chat", folder)
    assert call(loaded) == folder / "pipeline_wrapper.py"
    assert re.fullmatch(rf"{ROOT}\.chat(__\d+)?\.pipeline_wrapper", loaded.wrapper.__module__)


@pytest.mark.parametrize(
    "statement",
    [
        "import helpers",
        "from helpers import WHO; import helpers",
        "from . import helpers",
        "from .helpers import WHO as _; from . import helpers",
        "import chat.helpers; helpers = chat.helpers",
        "import chat.helpers as helpers",
        "from chat import helpers",
        "from chat.helpers import WHO as _; import helpers",
        "from importlib import import_module; helpers = import_module('.helpers', __package__)",
    ],
)
@pytest.mark.parametrize("late", [False, True])
def test_modules_beside_it_are_found(tmp_path: Path, statement: str, late: bool) -> None:
    use = f"{statement}; return helpers.WHO" if late else "return helpers.WHO"
    text = WRAPPER.format(use)
    folder = folder_of(tmp_path / "chat", text if late else statement + "\n" + text, helpers="WHO = 'me'")
    assert call(load_wrapper("chat", folder)) == "me"
    assert "helpers" not in sys.modules
    assert "chat" not in sys.modules


def test_two_pipelines_with_modules_of_one_name_do_not_mix(tmp_path: Path) -> None:
    text = "import helpers, tools.inner\nfrom tools import inner" + WRAPPER.format(
        "import late; return helpers.WHO, tools.inner.WHO, inner.NEXT, late.WHO"
    )
    loaded = [
        load_wrapper(
            name,
            folder_of(
                tmp_path / name,
                text,
                helpers=f"WHO = '{name}'",
                tools__in____init__="",
                tools__in__inner="from helpers import WHO\nfrom ..late import WHO as NEXT\nWHO = WHO + '!'",
                late=f"WHO = 'late {name}'",
            ),
        )
        for name in ("one", "two")
    ]
    assert [call(each) for each in loaded] == [
        (name, f"{name}!", f"late {name}", f"late {name}") for name in ("one", "two")
    ]


def test_what_is_loaded_in_parallel_does_not_mix(tmp_path: Path) -> None:
    names = [f"p{number}" for number in range(12)]
    folders = {
        name: folder_of(
            tmp_path / name,
            "import time; time.sleep(0.01); import helpers"
            + WRAPPER.format("import late; return helpers.WHO, late.WHO"),
            helpers=f"import late; WHO = '{name}'",
            late=f"WHO = '{name}'",
        )
        for name in names
    }
    with ThreadPoolExecutor(12) as threads:
        loaded = dict(zip(names, threads.map(lambda name: load_wrapper(name, folders[name]), names), strict=True))
    assert {name: call(each) for name, each in loaded.items()} == {name: (name, name) for name in names}


def test_a_module_beside_it_comes_before_an_installed_one_for_its_own_pipeline_alone(tmp_path: Path) -> None:
    text = "import json, calendar" + WRAPPER.format("return json.WHO, hasattr(calendar, 'isleap')")
    loaded = load_wrapper("chat", folder_of(tmp_path / "chat", text, json="WHO = 'mine'"))
    assert call(loaded) == ("mine", True)
    import json

    assert json.loads("1") == 1


def test_a_folder_of_data_hides_no_installed_package(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "chat", "import pydantic" + WRAPPER.format("return pydantic.BaseModel.__name__"))
    (folder / "pydantic").mkdir()
    (folder / "parts").mkdir()
    (folder / "parts" / "one.py").write_text("WHO = 'part'")
    assert call(load_wrapper("chat", folder)) == "BaseModel"
    folder_of(folder, "import parts.one" + WRAPPER.format("return parts.one.WHO"))
    assert call(load_wrapper("other", folder)) == "part"


def test_what_pipelines_share_may_lie_beside_their_folders(tmp_path: Path) -> None:
    (tmp_path / "shared_by_pipelines").mkdir()
    (tmp_path / "shared_by_pipelines" / "prompts.py").write_text("TEXT = 'hello'")
    text = "from shared_by_pipelines.prompts import TEXT" + WRAPPER.format("return TEXT")
    assert call(load_wrapper("chat", folder_of(tmp_path / "chat", text))) == "hello"
    sys.modules.pop("shared_by_pipelines"), sys.modules.pop("shared_by_pipelines.prompts")


def test_no_file_is_written_and_a_change_is_seen_at_once(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "chat", "import helpers" + WRAPPER.format("return helpers.WHO"), helpers="WHO = 1")
    first = load_wrapper("chat", folder)
    (folder / "helpers.py").write_text("WHO = 2")
    second = load_wrapper("chat", folder)
    assert (call(first), call(second)) == (1, 2)
    assert sorted(path.name for path in folder.rglob("*")) == ["helpers.py", "pipeline_wrapper.py"]


def test_a_module_that_is_laid_in_later_is_found(tmp_path: Path) -> None:
    text = WRAPPER.format("""
        try:
            import laid_in_later
        except ImportError:
            return None
        return laid_in_later.WHO""")
    folder = folder_of(tmp_path / "chat", text)
    loaded = load_wrapper("chat", folder)
    assert call(loaded) is None
    (folder / "laid_in_later.py").write_text("WHO = 1")
    os.utime(folder, (1, 1))  # as clocks are coarser than this test is fast
    assert call(loaded) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "import nothing_of_that_name",
            "No module named 'nothing_of_that_name'. Install its package where this server",
        ),
        ("import nothing_of_that_name", "or put nothing_of_that_name.py beside pipeline_wrapper.py"),
        ("def broken(:", "invalid syntax"),
        ("raise ValueError('not today')", "not today"),
        ("raise ValueError", "ValueError"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("{}['llm']", "KeyError: 'llm'"),
        ("raise SystemExit", "SystemExit"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("x = 1", "does not define a 'PipelineWrapper' class"),
        ("PipelineWrapper = 5", "not a class"),
        ("class Chat(BasePipelineWrapper): pass", "rename 'Chat' to 'PipelineWrapper'"),
        ("import helpers", "inner"),
    ],
)
def test_what_goes_wrong_is_said_and_no_module_stays(tmp_path: Path, text: str, said: str) -> None:
    folder = folder_of(tmp_path / "chat", text, helpers="import more\nraise RuntimeError('inner')", more="")
    before = loaded_modules()
    with pytest.raises(PipelineError, match=r"^Failed to load pipeline module 'chat' - ") as refused:
        load_wrapper("chat", folder)
    assert said in str(refused.value)
    assert loaded_modules() == before


def test_a_folder_without_a_wrapper_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"^Failed to load pipeline module 'chat' - Required file '.*' not found$"):
        load_wrapper("chat", tmp_path)


def test_interrupting_is_no_failure_of_the_file(tmp_path: Path) -> None:
    before = loaded_modules()
    with pytest.raises(KeyboardInterrupt):
        load_wrapper("chat", folder_of(tmp_path / "chat", "raise KeyboardInterrupt"))
    assert loaded_modules() == before


def test_what_still_runs_when_it_is_let_go_of_may_import_more(tmp_path: Path) -> None:
    text = WRAPPER.format(
        "from .late import WHO; import later; from chat import latest; return WHO, later.WHO, latest.A"
    )
    files = {"late": "WHO = 1", "later": "from . import late; WHO = late.WHO + 1", "latest": "A = 3"}
    loaded = load_wrapper("chat", folder_of(tmp_path / "chat", text, **files))
    loaded.discard()
    loaded.discard()
    assert loaded_modules() == set()
    again = load_wrapper("chat", folder_of(tmp_path / "new" / "chat", text, **{**files, "late": "WHO = 10"}))
    assert call(loaded) == (1, 2, 3)
    assert call(again) == (10, 11, 3)
    assert call(loaded) == (1, 2, 3)


def test_objects_of_its_classes_can_be_pickled(tmp_path: Path) -> None:
    text = "import helpers\nclass Point:\n    x = 1\n" + WRAPPER.format("return Point(), helpers.Other()")
    loaded = load_wrapper("chat", folder_of(tmp_path / "chat", text, helpers="class Other: pass"))
    again = load_wrapper("chat", folder_of(tmp_path / "chat", text, helpers="class Other: pass"))
    for each in (loaded, again):
        for value in call(each):  # type: ignore[attr-defined]
            assert type(pickle.loads(pickle.dumps(value))) is type(value)


def test_the_folder_may_be_a_package_itself(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path / "chat",
        "from . import NAME" + WRAPPER.format("return NAME, __package__"),
        __init__="from .more import NAME",
        more="NAME = 'package'",
    )
    loaded = load_wrapper("chat", folder)
    assert call(loaded) == ("package", loaded.package.name)


@pytest.mark.parametrize("name", ["my chat", "chat.v2", "json", "класс", "a-b", "1", "portico_pipelines", "haystack"])
def test_any_name_will_do(tmp_path: Path, name: str) -> None:
    text = "from . import helpers\nimport json" + WRAPPER.format("return helpers.WHO, json.dumps(1)")
    assert call(load_wrapper(name, folder_of(tmp_path / name, text, helpers="WHO = 1"))) == (1, "1")


def test_imports_on_threads_of_its_own_are_its_own(tmp_path: Path) -> None:
    text = "import threading\nfound = []" + WRAPPER.format(
        "one = threading.Thread(target=look); one.start(); one.join(); return found.pop()"
    )
    text += "\ndef look():\n    import helpers; found.append(helpers.WHO)\n"
    loaded = [
        load_wrapper(name, folder_of(tmp_path / name, text, helpers=f"WHO = '{name}'")) for name in ("one", "two")
    ]
    assert [call(each) for each in loaded] == ["one", "two"]
    assert threading.active_count() < 100


@pytest.mark.fuzz
def test_what_comes_and_goes_while_it_imports_does_not_mix(tmp_path: Path, fuzz_seconds: float) -> None:
    """Each call gets the module of its own deployment, however many are loaded and let go of meanwhile."""
    rng = random.Random(5)
    text = "import first" + WRAPPER.format(
        "import late; from . import later; from .pack.inner import WHO; return first.WHO, late.WHO, later.WHO, WHO"
    )
    end = time.monotonic() + fuzz_seconds / 2
    with ThreadPoolExecutor(8) as threads:
        for number in range(10**6):
            if time.monotonic() > end:
                break
            names = [rng.choice(("chat", "rag")) for _ in range(4)]
            loaded = []
            for at, name in enumerate(names):
                who = f"WHO = '{number}-{at}'"
                files = {"first": who, "late": f"import first\n{who}", "later": who, "pack__in__inner": who}
                loaded.append(load_wrapper(name, folder_of(tmp_path / f"{number}-{at}" / name, text, **files)))
            calls = [threads.submit(call, each) for each in loaded for _ in range(2)]
            discards = [threads.submit(each.discard) for each in loaded]
            got = [each.result(30) for each in calls]
            for each in discards:
                each.result(30)
            assert got == [(f"{number}-{at // 2}",) * 4 for at in range(8)]
            assert loaded_modules() == set()
