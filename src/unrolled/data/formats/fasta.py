"""FASTA: DNA, RNA or proteins, each a header line that begins with `>` and lines of letters below it.

The text of an example is the sequence, as it stands there: lower case, which often means a repeat, stays. Blank lines
are skipped. Where a label stands in a header is said in `_sequences.py`.

    >P0A6F5 Chaperonin GroEL label=Cytoplasm
    MAAKDVKFGNDARVKMLRGVNVLADAVKVTLGPKGRNVVLDKSFGAPTITKDGVSVAREI
    ELEDKFENMGAQMVKEVASK
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar

from unrolled.data.examples import Example, Origin
from unrolled.data.formats._sequences import Record, SequenceFormat, legal
from unrolled.data.lines import without_end
from unrolled.errors import BadData

WIDTH = 60
"""Letters a line of a sequence that was not read from a file."""


class FASTA(SequenceFormat):
    """One sequence a record."""

    suffixes: ClassVar[tuple[str, ...]] = (".fasta", ".fa", ".fas", ".fna", ".ffn", ".faa")

    def parse(self, lines: Iterator[str], where: str | Path) -> Iterator[Example]:
        header, begun, parts = "", 0, list[str]()
        for number, line in enumerate(lines, 1):
            content = without_end(line)
            if content.startswith(">"):
                if begun:
                    yield self._example(header, parts, where, begun)
                header, begun, parts = content[1:], number, []
            elif letters := content.strip(" \t"):
                if not begun:
                    raise BadData(f"{content[:20]!r} before the first header, which begins with '>'", where, number)
                try:
                    parts.append(legal(letters))
                except BadData as error:
                    raise BadData(error.problem, where, number) from None
        if begun:
            yield self._example(header, parts, where, begun)

    def _example(self, header: str, parts: list[str], where: str | Path, line: int) -> Example:
        if not parts:
            raise BadData(f"no sequence below the header {header[:60]!r}", where, line)
        rest = Record(header, len(parts[0]) if len(parts) > 1 else None)
        return self._made("".join(parts), rest, Origin(where, line))

    def render(self, examples: Iterable[Example]) -> Iterator[str]:
        for number, example in enumerate(examples, 1):
            header, sequence = self._parts(example, number)
            width = (example.rest.width or len(sequence)) if isinstance(example.rest, Record) else WIDTH
            rows = (sequence[k : k + width] for k in range(0, len(sequence), width))
            yield f">{header}\n" + "".join(f"{row}\n" for row in rows)
