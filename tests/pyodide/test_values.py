"""Values of functions in a tab, where there is no thread and none of the libraries: files, base64, JSON, displays."""

from __future__ import annotations

from pathlib import Path

from tests.pyodide.test_import import last_line, run_inside

PROGRAM = """
import io, json, sys, datetime
from pathlib import Path
from portico.functions.calling import validate
from portico.functions.signature import typed_function
from portico.functions.values.encodings import DISPLAY, encode, is_quick
from portico.functions.values.uploads import CallFiles

def count(file: Path, data: bytes, times: int = 1) -> dict:
    return {"name": file.name, "length": (len(file.read_bytes()) + len(data)) * times}

class Rich:
    def _repr_html_(self):
        return "<b>rich</b>"

def rich():
    return Rich()

typed = typed_function(count)
with CallFiles() as files:
    upload = files.add("../a.txt", "text/plain", io.BytesIO(b"hello"))
    _, kwargs = validate(typed, {"file": upload, "data": "aGVsbG8=", "times": "2"}, files)
    folder = kwargs["file"].parent
    answer = encode(count(**kwargs), "", typed)
shown = encode(rich(), DISPLAY, typed_function(rich))
other = {"when": datetime.date(2026, 11, 30), "b": b"x", "n": float("nan")}
print(json.dumps({
    "uploads": [parameter.upload for parameter in typed.parameters],
    "answer": json.loads(answer.body),
    "gone": not folder.exists(),
    "display": json.loads(shown.body)["display"],
    "other": encode(other, "", typed_function(rich)).body.decode(),
    "imported": sorted({"numpy", "pandas", "polars", "pyarrow", "PIL", "matplotlib", "IPython"} & set(sys.modules)),
}))
"""


def test_values_are_read_and_given_in_a_tab(node: str, bundle: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    assert last_line(run_inside(node, bundle, program, tmp_path, "portico", "fastapi")) == {
        "uploads": [True, True, False],
        "answer": {"result": {"name": "a.txt", "length": 20}},
        "gone": True,
        "display": {"text/html": "<b>rich</b>"},
        "other": '{"result":{"when":"2026-11-30","b":"eA==","n":null}}',
        "imported": [],
    }
