"""Of which family a type or a value is: told by the names of its classes, so that no library has to be imported.

Here: the table of names. Not here: what is done with a value of a family (`arrays`, `tables`, `images`, `uploads`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

Family = Literal[
    "array", "scalar", "frame", "series", "arrow", "image", "bytes", "path", "upload", "stream", "moment", "figure"
]

FAMILIES: dict[str, Family] = {
    "numpy.ndarray": "array",
    "numpy.generic": "scalar",
    "pandas.DataFrame": "frame",
    "pandas.Series": "series",
    "pandas.Index": "series",
    "pandas.Timestamp": "moment",
    "pandas.Timedelta": "moment",
    "pandas.NaTType": "moment",
    "polars.DataFrame": "frame",
    "polars.Series": "series",
    "polars.LazyFrame": "frame",
    "pyarrow.Table": "arrow",
    "PIL.Image": "image",
    "builtins.bytes": "bytes",
    "builtins.bytearray": "bytes",
    "builtins.memoryview": "bytes",
    "pathlib.Path": "path",
    "pathlib.PosixPath": "path",
    "pathlib.WindowsPath": "path",
    "starlette.UploadFile": "upload",
    "_io.BytesIO": "stream",
    "io.BytesIO": "stream",
    "typing.BinaryIO": "stream",
    "matplotlib.FigureBase": "figure",
    "matplotlib.Axes": "figure",
}
"""The root of a class's module and its name, as it is found in ``__mro__``."""


def name_of(kind: type) -> str:
    """``pandas.DataFrame`` for a class of that name anywhere in pandas: libraries move their classes about."""
    return f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}"


@lru_cache(maxsize=1024)
def family_of(kind: type) -> Family | None:
    """The family of a class, or of the first of its bases that has one. None for a class of no family."""
    for base in kind.__mro__:
        if (family := FAMILIES.get(name_of(base))) is not None:
            return family
    return None


def library_of(value: Any) -> str:
    """The library that a value's family comes from: ``pandas`` for a subclass of pandas.DataFrame too."""
    for base in type(value).__mro__:
        if (name := name_of(base)) in FAMILIES:
            return name.partition(".")[0]
    return ""
