"""Parquet, by pyarrow: a row an example, and a value what it would be in JSON lines.

Tokens and tags are lists of strings, numbers at each step a list of lists of numbers (steps, features), or a list of
numbers of one feature; a null among them is missing. Columns of other types, times say, are kept as they are.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

from unrolled.data.examples import Example
from unrolled.data.formats._tables import Row
from unrolled.data.formats.jsonl import JSONLines
from unrolled.errors import BadData, MissingExtra

ROWS = 1024
"""That are made Python's at a time: their numbers are lists until they are an example."""
LARGEST = 1 << 30
"""Bytes of strings and of lists' lengths in a file's own description, beyond which it is not believed."""


class Parquet(JSONLines):
    """A row an example."""

    suffixes: ClassVar[tuple[str, ...]] = (".parquet", ".pq")
    binary: ClassVar[bool] = True
    streamed: ClassVar[bool] = False
    machine_readable: ClassVar[bool] = False

    def read_stream(self, stream: Iterable[bytes], where: str | Path = "standard input") -> Iterator[Example]:
        content = b"".join(stream)
        if not content:
            raise BadData("the file is empty", where)
        return self._checked(self._rows(content, where), where)

    def write_stream(self, examples: Iterable[Example], where: str | Path = "standard output") -> Iterator[bytes]:
        arrow, parquet = _pyarrow()
        rows = [self._cells(example) for example in examples]
        names = list(dict.fromkeys(name for row in rows for name in row))
        try:
            table = arrow.table({name: [row.get(name) for row in rows] for name in names})
        except (arrow.ArrowException, TypeError, ValueError) as error:
            raise BadData(f"a column would hold values of several types: {error}", where) from None
        content = io.BytesIO()
        parquet.write_table(table, content)
        yield content.getvalue()

    def _rows(self, content: bytes, where: str | Path) -> Iterator[Example]:
        arrow, parquet = _pyarrow()
        number = 0
        try:
            file = parquet.ParquetFile(
                io.BytesIO(content), thrift_string_size_limit=LARGEST, thrift_container_size_limit=LARGEST
            )
            self._find(file.schema_arrow.names, str(where))
            for batch in file.iter_batches(batch_size=ROWS):
                for cells in batch.to_pylist():
                    number += 1
                    values = cells.get(self._inputs[0])
                    if isinstance(values, list) and not any(isinstance(step, (list, str)) for step in values):
                        cells[self._inputs[0]] = [[one] for one in values]  # of one feature
                    yield self._example(cells, Row(tuple(cells), tuple(cells.values())), where, number)
        except (arrow.ArrowException, OSError, UnicodeDecodeError, OverflowError) as error:
            raise BadData(f"not a Parquet file that can be read: {_first_line(error)}", where) from None


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingExtra("pyarrow", extra="parquet", need="reading and writing Parquet files") from None
    return pyarrow, parquet
