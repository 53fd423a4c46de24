"""Tab-separated values with a header and no quoting: a quotation mark is a character like any other.

A cell cannot hold a tab or a line break, so none has to be quoted. Blank lines are skipped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from unrolled.data.formats._tables import TextTable
from unrolled.data.lines import without_end
from unrolled.errors import BadData


class TSV(TextTable):
    """A header, and a row a line."""

    suffixes: ClassVar[tuple[str, ...]] = (".tsv", ".tab")

    def _rows(self, lines: Iterator[str], where: str | Path) -> Iterator[tuple[int, Sequence[str]]]:
        for number, line in enumerate(lines, 1):
            line = without_end(line)
            if line:
                yield number, line.split("\t")

    def _line(self, cells: Sequence[str]) -> str:
        for cell in cells:
            if "\t" in cell or "\n" in cell:
                what = "a tab" if "\t" in cell else "a line break"
                raise BadData(f"cannot write {cell[:40]!r} as TSV: it holds {what}; write csv or jsonl instead")
        line = "\t".join(cells)
        if without_end(line + "\n") != line or not line:
            what = "it ends in a carriage return" if line else "the row is empty"
            raise BadData(f"cannot write {line[-40:]!r} as TSV: {what}; write csv or jsonl instead")
        return line + "\n"
