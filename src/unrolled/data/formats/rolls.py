"""Piano rolls as JSON: a list of pieces, a piece a list of steps, a step the list of the pitches that sound.

    [[[60, 64, 67], [60, 64, 67], []], …]

Pitches are MIDI's numbers, 0 to 127. Files of this format often end in `.json`: `--set format=rolls`.
How long a step is, the file does not tell: `division` does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

from unrolled.data.examples import Example, Origin
from unrolled.data.formats._json import kind, load
from unrolled.data.formats.base import TextFormat
from unrolled.data.music import Roll, pitches_of, roll
from unrolled.errors import BadData


class Rolls(TextFormat):
    """All pieces in one file."""

    suffixes: ClassVar[tuple[str, ...]] = (".rolls",)
    usual: ClassVar[tuple[str, ...]] = (".json",)
    holds: ClassVar[tuple[type[Example], ...]] = (Roll,)
    streamed: ClassVar[bool] = False
    machine_readable: ClassVar[bool] = True

    def parse(self, lines: Iterator[str], where: str | Path) -> Iterator[Example]:
        pieces = load("".join(lines), where)
        if not isinstance(pieces, list):
            raise BadData(f"{kind(pieces)} where a list of pieces is expected", where)
        for number, steps in enumerate(pieces, 1):
            try:
                notes = roll(pitches_of(steps))
            except BadData as error:
                raise BadData(f"piece {number}: {error.problem}", where) from None
            yield Roll(notes=notes, name=str(number), division=self.division, origin=Origin(where, number))

    def render(self, examples: Iterable[Example]) -> Iterator[str]:
        pieces = []
        for example in examples:
            assert isinstance(example, Roll)
            pieces.append([np.flatnonzero(step).tolist() for step in example.whole])
        yield json.dumps(pieces, separators=(",", ":")) + "\n"
