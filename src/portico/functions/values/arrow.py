"""Arrow tables (IPC streams and files) from strangers, by pyarrow.

What is inside is checked before anything is made of it: offsets by Arrow's own full validation, and how much memory
what is compressed, repeated or only claimed would take by the numbers here.
"""

from __future__ import annotations

from typing import Any, Final

from portico.functions.values.bounds import CELLS, COLUMNS, IN_MEMORY, mebibytes, unreadable

FILE_MAGIC: Final = b"ARROW1"


def read_arrow(data: bytes) -> Any:
    """The table in an IPC stream or file. Raises `UnusableRequest` (422)."""
    try:
        import pyarrow
    except ImportError:
        raise unreadable("Arrow is not read here, since pyarrow is not installed: send CSV or JSON.") from None
    try:
        source = pyarrow.py_buffer(data)
        reader: Any
        if data[: len(FILE_MAGIC)] == FILE_MAGIC:
            reader = pyarrow.ipc.open_file(source)
            batches = (reader.get_batch(at) for at in range(reader.num_record_batches))
        else:
            reader = pyarrow.ipc.open_stream(source)
            batches = iter(reader)
        schema = reader.schema
        if len(schema) > COLUMNS:
            raise unreadable(f"The table has {len(schema)} columns; at most {COLUMNS} can be read here.")
        for field in schema:
            _check_type(field, pyarrow)
        kept, cells, size = [], 0, 0
        for batch in batches:
            cells += batch.num_rows * max(batch.num_columns, 1)
            if cells > CELLS:
                raise unreadable(f"The table has more than {CELLS} cells.")
            batch.validate(full=True)
            size += batch.nbytes
            if size > IN_MEMORY:
                raise unreadable(f"The table would take more than {mebibytes(IN_MEMORY)}.")
            kept.append(batch)
        return pyarrow.Table.from_batches(kept, schema)
    except (pyarrow.ArrowException, ValueError, TypeError, KeyError, IndexError, OSError, OverflowError) as error:
        raise unreadable(f"The Arrow data cannot be read: {' '.join(str(error).split())[:200]}") from None


def _check_type(field: Any, pyarrow: Any) -> None:
    """Raise for a type that lets few bytes stand for many values, or that runs code of its own."""
    kind, types = field.type, pyarrow.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    if (
        types.is_boolean(kind)
        or types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_decimal(kind)
        or types.is_temporal(kind)
        or types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_null(kind)
    ):
        return
    raise unreadable(f"The column {field.name[:100]!r} has the type {str(kind)[:100]}, which is not read here.")
