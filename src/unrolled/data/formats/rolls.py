"""Piano rolls as JSON: a list of pieces, a piece a list of steps, a step the list of the pitches that sound.

    [[[60, 64, 67], [60, 64, 67], []], …]

Pitches are MIDI's numbers, 0 to 127. Files of this format often end in `.json`: `--set format=rolls`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from unrolled.data.examples import Example, Origin
from unrolled.data.formats._json import kind
from unrolled.data.formats.base import TextFormat
from unrolled.data.music import PITCHES, Roll
from unrolled.errors import BadData


class Rolls(TextFormat):
    """All pieces in one file."""

    suffixes: ClassVar[tuple[str, ...]] = (".rolls",)
    usual: ClassVar[tuple[str, ...]] = (".json",)
    holds: ClassVar[tuple[type[Example], ...]] = (Roll,)
    streamed: ClassVar[bool] = False
    machine_readable: ClassVar[bool] = True

    def parse(self, lines: Iterator[str], where: str | Path) -> Iterator[Example]:
        try:
            pieces = json.loads("".join(lines))
        except (ValueError, RecursionError) as error:
            raise BadData(f"not JSON: {error}", where) from None
        if not isinstance(pieces, list):
            raise BadData(f"{kind(pieces)} where a list of pieces is expected", where)
        for number, steps in enumerate(pieces, 1):
            try:
                notes = _notes(steps)
            except BadData as error:
                raise BadData(f"piece {number}: {error.problem}", where) from None
            yield Roll(notes=notes, name=str(number), origin=Origin(where, number))

    def render(self, examples: Iterable[Example]) -> Iterator[str]:
        pieces = []
        for example in examples:
            assert isinstance(example, Roll)
            pieces.append([np.flatnonzero(step).tolist() for step in example.whole])
        yield json.dumps(pieces, separators=(",", ":")) + "\n"


def _notes(steps: Any) -> np.ndarray:
    """(steps, 128). Raises `BadData` for what are no lists of pitches."""
    if not isinstance(steps, list) or not steps:
        raise BadData(f"{kind(steps)} where a list of steps is expected" if steps != [] else "it has no steps")
    notes = np.zeros((len(steps), PITCHES), dtype=bool)
    for place, pitches in enumerate(steps, 1):
        if not isinstance(pitches, list):
            raise BadData(f"step {place} is {kind(pitches)} where a list of pitches is expected")
        for pitch in pitches:
            if isinstance(pitch, bool) or not isinstance(pitch, int) or not 0 <= pitch < PITCHES:
                raise BadData(f"step {place} holds {json.dumps(pitch)[:40]} where a pitch from 0 to 127 is expected")
            notes[place - 1, pitch] = True
    return notes
