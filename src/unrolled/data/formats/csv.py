"""Comma-separated values with a header and the usual quoting (RFC 4180): `"` around a cell, doubled inside it.

A quoted cell may hold commas and line breaks. Blank lines are skipped.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from unrolled.data.formats._tables import TextTable
from unrolled.errors import BadData

# Python stops at cells of 131,072 characters; a long document is more. The largest value that every platform takes.
csv.field_size_limit(2**31 - 1)


class CSV(TextTable):
    """A header, and a row a record."""

    suffixes: ClassVar[tuple[str, ...]] = (".csv",)

    def _rows(self, lines: Iterator[str], where: str | Path) -> Iterator[tuple[int, Sequence[str]]]:
        # Strict: else a quotation mark that is never closed swallows the rest of the file in silence.
        reader = csv.reader(lines, strict=True)
        while True:
            number = reader.line_num + 1
            try:
                cells = next(reader, None)
            except csv.Error as error:
                last = reader.line_num
                span = "" if last <= number else f" (the row that begins here ends in line {last})"
                raise BadData(f"not CSV: {error}{span}", where, number) from None
            if cells is None:
                return
            if cells:
                yield number, cells

    def _line(self, cells: Sequence[str]) -> str:
        text = io.StringIO()
        # A lone carriage return must be quoted as well, which older Pythons do only where it is in the line end.
        alone = any("\r" in cell for cell in cells)
        csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL if alone else csv.QUOTE_MINIMAL).writerow(cells)
        return text.getvalue()
