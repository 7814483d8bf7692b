"""NumPy arrays and scalars: nested lists in JSON, ``.npy`` files, and CSV for tables of numbers.

Here: how they are read from what strangers send, and how they are written. NumPy's own readers are used for what is
inside, never for how much there is: that is counted before memory is taken. Nothing is ever unpickled.
"""

from __future__ import annotations

import io
import math
from typing import Any, Final

from portico.errors import UnusableRequest
from portico.functions.values.bounds import CELLS, DIMENSIONS, IN_MEMORY, mebibytes, one_line, unreadable
from portico.functions.values.uploads import UploadedFile, media_type_of, open_bytes

NPY: Final = "application/x-npy"
MAGIC: Final = b"\x93NUMPY"
_HEADER: Final = 10_000
"""Bytes of a ``.npy`` file's header: NumPy's own bound, since it is read as a Python literal."""


def read_array(given: Any, dtype: Any = None, dimensions: int | None = None) -> Any:
    """The array that a caller gave, as nested lists or a file, of *dtype* if that is given.

    Raises `UnusableRequest` (422) for what is no array, does not fit the type, or is too large.
    """
    import numpy

    if isinstance(given, numpy.ndarray | numpy.generic):
        array = numpy.asarray(given)
    elif isinstance(given, UploadedFile):
        array = _from_file(given)
    elif isinstance(given, str) and given[:5].lower() == "data:":
        array = read_npy(open_bytes(given)[0])
    elif isinstance(given, str) and dtype is None:
        raise unreadable("An array is given as nested lists, or as a .npy file.")
    else:
        array = from_lists(given, dtype)
    if dtype is not None and array.dtype != dtype:
        array = cast(array, dtype)
    if dimensions is not None and array.ndim != dimensions:
        raise unreadable(f"An array with {dimensions} dimensions is wanted; this one has {array.ndim}.")
    return array


def _from_file(file: UploadedFile) -> Any:
    import json

    file.check_size()
    file.file.seek(0)
    start = file.file.read(len(MAGIC))
    file.file.seek(0)
    if start == MAGIC:
        return read_npy(file.file)
    if media_type_of(file) == "application/json" or file.filename.lower().endswith(".json"):
        try:
            return from_lists(json.loads(file.read()))
        except (ValueError, RecursionError):
            raise unreadable("The file is not JSON that can be read.") from None
    raise unreadable("The file is not an array: send a .npy file, or nested lists as JSON.")


def read_npy(file: Any) -> Any:
    """The array in an open ``.npy`` file. Source: numpy.lib.format."""
    import numpy
    from numpy.lib import format as npy

    try:
        version = npy.read_magic(file)
        if version not in ((1, 0), (2, 0), (3, 0)):
            raise unreadable(f"The .npy file has the unknown version {version[0]}.{version[1]}.")
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read_header(file, max_header_size=_HEADER)
    except UnusableRequest:
        raise
    except Exception as error:  # noqa: BLE001 - a header is text that is read as Python, and fails in many ways
        raise unreadable(f"The .npy file's header cannot be read: {one_line(error)}") from None
    if dtype.hasobject:
        raise unreadable(
            "The .npy file holds Python objects, which are not read: save it with a dtype of numbers or text."
        )
    if len(shape) > DIMENSIONS or any(type(size) is not int or size < 0 for size in shape):
        raise unreadable("The .npy file's header has a shape that cannot be.")
    size = math.prod(shape) * dtype.itemsize
    if size > IN_MEMORY:
        raise unreadable(f"The array would take {mebibytes(size)}; at most {mebibytes(IN_MEMORY)} can be read here.")
    if not dtype.itemsize and math.prod(shape) > CELLS:
        raise unreadable(f"The array has more than {CELLS} elements.")
    data = file.read(size + 1)
    if len(data) != size:
        raise unreadable("The .npy file is not as long as its header says.")
    if not size:
        return numpy.empty(shape, dtype)
    return numpy.frombuffer(bytearray(data), dtype).reshape(shape, order="F" if fortran else "C")


def from_lists(given: Any, dtype: Any = None) -> Any:
    """An array of nested lists, a number, a boolean or a text; null is NaN.

    Its type is *dtype*, else what the elements are: int64, float64, bool, or text.
    """
    import numpy

    count, longest, kinds = _look_through(given)
    if dtype is not None and dtype.kind in "OMmcSVU":
        target: Any = dtype
    elif str in kinds:
        if kinds != {str}:
            raise unreadable("The array mixes text with other values.")
        if dtype is not None and dtype.kind == "b":
            raise unreadable("A text cannot be a boolean.")
        target = numpy.dtype(f"U{max(longest, 1)}")  # `cast` makes numbers of it
    elif type(None) in kinds and (dtype is None or dtype.kind == "f"):
        target = numpy.dtype(float)
    elif type(None) in kinds:
        raise unreadable(f"A null cannot be in an array of {dtype}.")
    elif dtype is not None and dtype.kind in "iu" and kinds <= {int, bool}:
        target = dtype  # so that what does not fit is seen
    else:
        target = None
    size = count * max(8, target.itemsize if target is not None else 0, 4 * longest if str in kinds else 0)
    if size > IN_MEMORY:
        raise unreadable(f"The array would take {mebibytes(size)}; at most {mebibytes(IN_MEMORY)} can be read here.")
    try:
        with numpy.errstate(all="ignore"):  # what is too large for a complex number is infinite
            array = numpy.array(given, target)
            if target is None and array.dtype.kind == "O":
                array = array.astype(float)  # integers beyond 64 bits
    except (ValueError, TypeError, OverflowError) as error:
        raise unreadable(_why(error, target)) from None
    return array


def _why(error: Exception, dtype: Any) -> str:
    if "inhomogeneous" in str(error):
        return "The lists of an array must have the same length at each depth."
    if isinstance(error, OverflowError):
        return f"A number does not fit into {dtype or 'the array'}."
    return f"This cannot be an array{f' of {dtype}' if dtype is not None else ''}: {one_line(error)}"


def _look_through(given: Any) -> tuple[int, int, set[type]]:
    """How many elements there are, the length of the longest text, and their types."""
    level = [given]
    kinds: set[type] = set()
    count = longest = 0
    for _ in range(DIMENSIONS + 1):
        lists = [each for each in level if isinstance(each, list | tuple)]
        if len(lists) != len(level):
            leaves = [each for each in level if not isinstance(each, list | tuple)]
            kinds.update(map(type, leaves))
            count += len(leaves)
            if str in kinds:
                longest = max(longest, max((len(each) for each in leaves if isinstance(each, str)), default=0))
        if not lists:
            break
        if sum(map(len, lists)) > CELLS:
            raise unreadable(f"The array has more than {CELLS} elements.")
        level = [element for each in lists for element in each]
    else:
        raise unreadable(f"An array has at most {DIMENSIONS} dimensions.")
    if strange := kinds - {int, float, bool, str, type(None)}:
        name = "objects" if dict in strange else f"a {next(iter(strange)).__name__}"
        raise unreadable(f"An array holds numbers, booleans or text; this one has {name} in it.")
    return count, longest, kinds


def cast(array: Any, dtype: Any) -> Any:
    """*array* as *dtype*, where its values fit: 3.0 is an integer, 3.5 and 300 are no uint8."""
    import numpy

    if array.dtype.kind == "c" and dtype.kind in "iubf":
        raise unreadable(f"A complex number cannot be {dtype}.")
    if array.dtype.kind == "f" and dtype.kind in "iub":
        if not numpy.isfinite(array).all():
            raise unreadable(f"A number in the array is not finite, or null, and cannot be {dtype}.")
        if (array != numpy.trunc(array)).any():
            raise unreadable(f"A number in the array has a fraction, and cannot be {dtype}.")
    try:
        with numpy.errstate(all="ignore"):  # a value that does not fit is looked for below
            result = array.astype(dtype)
    except (ValueError, TypeError, OverflowError) as error:
        raise unreadable(_why(error, dtype)) from None
    if dtype.kind in "iub" and array.dtype.kind in "iufb" and (result != array).any():
        raise unreadable(f"A number does not fit into {dtype}.")
    if dtype.kind == "f" and array.dtype.kind in "iuf" and (numpy.isinf(result) & numpy.isfinite(array)).any():
        raise unreadable(f"A number does not fit into {dtype}.")
    return result


def read_scalar(given: Any, kind: Any) -> Any:
    """A NumPy scalar of the class *kind*, from a number, a boolean or text."""
    import numpy

    if isinstance(given, kind):
        return given
    if given is None or isinstance(given, list | tuple | dict | UploadedFile):
        raise unreadable(f"A {kind.__name__} is wanted.")
    if isinstance(given, str):
        given = numpy.asarray(given)
    try:
        dtype = numpy.dtype(kind)
    except TypeError:  # numpy.floating and its like: any of them will do
        return read_array(given)[()]
    return read_array(given, dtype)[()]


def to_lists(array: Any) -> Any:
    """*array* as nested lists of what JSON knows; text for dates, times and complex numbers, null for NaT."""
    import numpy

    kind = array.dtype.kind
    if kind in "iub" or (kind == "f" and array.dtype.itemsize <= 8):
        return array.tolist()
    if kind == "f":
        return array.astype(float).tolist()
    if kind == "c":
        return numpy.vectorize(_complex_text, otypes=[object])(array).tolist() if array.size else array.tolist()
    if kind == "M":
        text = numpy.datetime_as_string(array)
        return numpy.where(numpy.isnat(array), None, text.astype(object)).tolist()
    if kind == "m":
        return array.astype("m8[us]").tolist()
    if array.dtype.names:
        columns = {name: array[name] for name in array.dtype.names}
        if array.ndim == 0:
            return {name: to_lists(column) for name, column in columns.items()}
        return [to_lists(row) for row in array] if array.ndim > 1 else _records(columns)
    return array.tolist()


def _records(columns: dict[str, Any]) -> list[dict[str, Any]]:
    lists = [to_lists(column) for column in columns.values()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True)]


def _complex_text(number: complex) -> str:
    return str(complex(number)).strip("()")


def to_npy(array: Any) -> bytes:
    """*array* as a ``.npy`` file. Raises ValueError for one of Python objects."""
    import numpy

    file = io.BytesIO()
    numpy.save(file, array, allow_pickle=False)
    return file.getvalue()


def to_csv(array: Any) -> bytes:
    """*array*, of one or two dimensions, as CSV without a line of names."""
    import csv

    text = io.StringIO(newline="")
    rows = to_lists(array)
    csv.writer(text).writerows(rows if array.ndim == 2 else ([value] for value in rows))
    return text.getvalue().encode()


def schema_of(dtype: Any = None, dimensions: int | None = None) -> dict[str, Any]:
    """JSON Schema of an array as nested lists."""
    item: dict[str, Any] = {}
    if dtype is not None:
        item = {"b": {"type": "boolean"}, "i": {"type": "integer"}, "u": {"type": "integer"}}.get(dtype.kind, {})
        if dtype.kind == "f":
            item = {"type": ["number", "null"]}
        elif dtype.kind in "UMmc":
            item = {"type": "string"}
    if dimensions is None:
        return {"type": "array"}
    for _ in range(dimensions):
        item = {"type": "array", "items": item}
    return item
