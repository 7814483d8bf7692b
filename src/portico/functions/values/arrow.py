"""Arrow tables (IPC streams and files) from strangers, by pyarrow.

A few bytes can stand for a great many: what is compressed, a column of nulls, a text that many rows show. So what would
become of them is counted (`arrow_cost`) before pyarrow makes anything of it, and then Arrow's own full validation looks
at each offset. Source: Arrow columnar format, "Serialization and Interprocess Communication (IPC)".
"""

from __future__ import annotations

from typing import Any, Final

from portico.errors import UnusableRequest
from portico.functions.values.arrow_cost import BrokenArrow, Cost, cost_of_file, cost_of_message
from portico.functions.values.bounds import CELLS, COLUMNS, DEEP, IN_MEMORY, mebibytes, one_line, unreadable

FILE_MAGIC: Final = b"ARROW1"
_CHUNKS: Final = 2**20
"""Columns times batches: each takes some hundred bytes, though nothing be in it."""


def read_arrow(data: bytes) -> Any:
    """The table in an IPC stream or file. Raises `UnusableRequest` (422) for what is none, or is too large."""
    try:
        import pyarrow
    except ImportError:
        raise unreadable("Arrow is not read here, since pyarrow is not installed: send CSV or JSON.") from None
    try:
        table = _without_views(pyarrow, _read(pyarrow, data))
    except UnusableRequest:
        raise
    except (pyarrow.ArrowException, BrokenArrow, ValueError, TypeError, LookupError, OSError, MemoryError) as error:
        raise unreadable(f"The Arrow data cannot be read: {one_line(error)}") from None
    return table


def _read(pyarrow: Any, data: bytes) -> Any:
    source = pyarrow.py_buffer(data)
    if data[: len(FILE_MAGIC)] == FILE_MAGIC:
        _check_cost(cost_of_file(data))
        file = pyarrow.ipc.open_file(source)
        schema, count = file.schema, file.num_record_batches
        batches = (file.get_batch(at) for at in range(count))
    else:
        cost = Cost()
        count = 0
        for message in pyarrow.ipc.MessageReader.open_stream(source):
            count += 1
            cost_of_message(message.metadata.to_pybytes(), memoryview(message.body or b""), cost)
            _check_cost(cost)
        stream = pyarrow.ipc.open_stream(source)
        schema, batches = stream.schema, iter(stream)
    columns = len(schema)
    if columns > COLUMNS:
        raise unreadable(f"The table has {columns} columns; at most {COLUMNS} can be read here.")
    if columns * count > _CHUNKS:
        raise unreadable("The table is in too many pieces: write larger batches.")
    fields = sum(_check_type(pyarrow.types, field.name, field.type, 0) for field in schema)
    if fields > COLUMNS:
        raise unreadable(f"The table has {fields} columns and fields in them; at most {COLUMNS} can be read here.")
    kept = []
    for batch in batches:
        batch.validate(full=True)
        kept.append(batch)
    return pyarrow.Table.from_batches(kept, schema)


def _check_cost(cost: Cost) -> None:
    if cost.values > CELLS:
        raise unreadable(f"The table has more than {CELLS} cells.")
    if cost.bytes > IN_MEMORY:
        raise unreadable(f"The table would take more than {mebibytes(IN_MEMORY)}.")


def _check_type(types: Any, name: str, kind: Any, depth: int) -> int:
    """How many fields a type has. Raises for one that lets few bytes stand for many values, or has code of its own."""
    if depth > DEEP:
        raise unreadable(f"The column {name[:100]!r} is nested too deeply.")
    inner = kind.value_type if types.is_dictionary(kind) and depth == 0 else kind
    if _is_plain(types, inner) or _is_sized(types, inner):
        return 1
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return 1 + _check_type(types, name, kind.value_type, depth + 1)
    if types.is_struct(kind):
        return 1 + sum(_check_type(types, name, field.type, depth + 1) for field in kind)
    raise unreadable(f"The column {name[:100]!r} has the type {str(inner)[:100]}, which is not read here.")


def _is_plain(types: Any, kind: Any) -> bool:
    return bool(
        types.is_boolean(kind)
        or types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_decimal(kind)
        or types.is_temporal(kind)
        or types.is_null(kind)
    )


def _is_sized(types: Any, kind: Any) -> bool:
    return bool(
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_string_view(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_binary_view(kind)
        or types.is_fixed_size_binary(kind)
    )


def _without_views(pyarrow: Any, table: Any) -> Any:
    """*table* with texts of their own in place of views, several of which may show the same bytes.

    Arrow's validation passes over a view that is null, its casts do not: such a view can end the process. So the texts
    are read one by one.
    """
    types, seen, size = pyarrow.types, set[int](), 0
    columns = []
    for column in table.columns:
        kind = _type_without_views(pyarrow, column.type)
        if kind == column.type:
            columns.append(column)
            continue
        chunks = []
        for chunk in column.chunks:
            size += _size_of_views(types, chunk, seen)
            if size > IN_MEMORY:
                raise unreadable(f"The table would take more than {mebibytes(IN_MEMORY)}.")
            if types.is_dictionary(kind):
                texts = pyarrow.array(chunk.dictionary.to_pylist(), kind.value_type)
                chunks.append(pyarrow.DictionaryArray.from_arrays(chunk.indices, texts, ordered=kind.ordered))
            else:
                chunks.append(pyarrow.array(chunk.to_pylist(), kind))
        columns.append(pyarrow.chunked_array(chunks, kind))
    return pyarrow.table(columns, names=table.column_names)


def _type_without_views(pyarrow: Any, kind: Any) -> Any:
    types = pyarrow.types
    if types.is_string_view(kind):
        return pyarrow.large_string()
    if types.is_binary_view(kind):
        return pyarrow.large_binary()
    if types.is_dictionary(kind):
        return pyarrow.dictionary(kind.index_type, _type_without_views(pyarrow, kind.value_type), kind.ordered)
    if types.is_fixed_size_list(kind):
        return pyarrow.list_(_type_without_views(pyarrow, kind.value_type), kind.list_size)
    if types.is_list(kind) or types.is_large_list(kind):
        inner = _type_without_views(pyarrow, kind.value_type)
        return kind if inner == kind.value_type else pyarrow.large_list(inner)
    if types.is_struct(kind):
        fields = [(field.name, field.type, _type_without_views(pyarrow, field.type)) for field in kind]
        changed = any(old != new for _, old, new in fields)
        return pyarrow.struct([(name, new) for name, _, new in fields]) if changed else kind
    return kind


def _size_of_views(types: Any, array: Any, seen: set[int]) -> int:
    """Bytes of all texts in *array*; *seen* are the views of dictionaries that were counted: batches share them."""
    kind = array.type
    if types.is_string_view(kind) or types.is_binary_view(kind):
        views = array.buffers()[1]
        if views is None:
            return 0
        # a view begins with its length (int32), and has 16 bytes; one that is null may say anything
        lengths = memoryview(views).cast("i")[array.offset * 4 : (array.offset + len(array)) * 4 : 4]
        if not array.null_count:
            return sum(lengths)
        return sum(length for length, valid in zip(lengths, array.is_valid().to_pylist(), strict=True) if valid)
    if types.is_dictionary(kind):
        views = array.dictionary.buffers()[1]
        if views is None or views.address in seen:
            return 0
        seen.add(views.address)
        return _size_of_views(types, array.dictionary, seen)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _size_of_views(types, array.values, seen)
    if types.is_struct(kind):
        return sum(_size_of_views(types, array.field(at), seen) for at in range(kind.num_fields))
    return 0
