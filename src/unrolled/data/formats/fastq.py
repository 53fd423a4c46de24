"""FASTQ: what a sequencing machine read, four lines each: a header behind `@`, the letters, `+`, a quality a letter.

The text of an example is the sequence. Qualities are kept, and written again; where there are none `!` is written, the
lowest, of which nothing is known. Behind `+` may stand the header once more. Where a label stands in a header is said
in `_sequences.py`.

    @SRR001666.1 label=host
    GGGTGATGGCCGCTGCCGATGG
    +
    IIIIIIIIIIIIIIIIIIIII9
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import ClassVar

from unrolled.data.examples import Example, Origin
from unrolled.data.formats._sequences import Record, SequenceFormat, legal
from unrolled.data.lines import is_blank, without_end
from unrolled.errors import BadData

UNKNOWN = "!"
_NO_QUALITY = re.compile(r"[^!-~]")


class FASTQ(SequenceFormat):
    """One read a record of four lines."""

    suffixes: ClassVar[tuple[str, ...]] = (".fastq", ".fq")

    def parse(self, lines: Iterator[str], where: str | Path) -> Iterator[Example]:
        numbered = enumerate(map(without_end, lines), 1)
        for number, header in numbered:
            if is_blank(header):
                continue
            if not header.startswith("@"):
                raise BadData(f"{header[:20]!r} where a header is expected, which begins with '@'", where, number)
            below = [line for _, line in islice(numbered, 3)]
            if len(below) < 3:
                raise BadData(f"the file ends within the record that begins here: {header[:60]!r}", where, number)
            sequence, plus, quality = below
            try:
                legal(sequence)
            except BadData as error:
                raise BadData(error.problem, where, number + 1) from None
            if not plus.startswith("+") or plus[1:] not in ("", header[1:]):
                raise BadData(f"{plus[:20]!r} where '+' is expected, alone or with the header", where, number + 2)
            if wrong := _NO_QUALITY.search(quality):
                raise BadData(f"{wrong[0]!r} at position {wrong.start() + 1} is no quality", where, number + 3)
            if not sequence or len(quality) != len(sequence):
                raise BadData(f"{len(quality)} qualities for {len(sequence)} letters", where, number + 3)
            yield self._made(sequence, Record(header[1:], quality=quality), Origin(where, number))

    def render(self, examples: Iterable[Example]) -> Iterator[str]:
        for number, example in enumerate(examples, 1):
            header, sequence = self._parts(example, number)
            quality = example.rest.quality if isinstance(example.rest, Record) else None
            if quality is None or len(quality) != len(sequence):  # the sequence is another one than was read
                quality = UNKNOWN * len(sequence)
            yield f"@{header}\n{sequence}\n+\n{quality}\n"
