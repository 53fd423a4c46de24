"""Music as a piano roll: an example, the names of notes, and keys."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from unrolled.data.examples import Example
from unrolled.errors import BadData, BadOption

DIVISION = 2
"""Steps of a quarter note where none are asked for: eighths."""
FINEST = 96
"""Steps of a quarter note at most: a finer grid tells apart what no player can."""
PITCHES = 128
"""MIDI's numbers of pitches, a semitone apart; 60 is middle C."""
NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
MAJOR, MINOR = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10)


@dataclass(frozen=True, kw_only=True, eq=False)
class Roll(Example):
    """Music as a piano roll: which notes sound at each step. The blank is `following`; a model learns from the notes.

    Attributes:
        notes: (steps, 128), true or false, by MIDI's numbers of pitches: 60 is middle C.
        name: of the piece.
        division: steps of a quarter note.
        tempo: quarter notes a minute.
        following: filled in by a prediction: the pitches of each further step, the lowest first.
        confidence: filled in by a prediction: the probability of each further step, all keys allowed.
        surprisals: filled in by a prediction: -log2 of the probability of each step but the first, in bits.
    """

    blank: ClassVar[str] = "following"
    called: ClassVar[str] = "music"
    needs_answer: ClassVar[bool] = False

    notes: NDArray[np.bool_]
    name: str = ""
    division: int = field(default=DIVISION, compare=False)
    tempo: float = field(default=120.0, compare=False)
    following: tuple[tuple[int, ...], ...] | None = field(default=None, compare=False)
    confidence: tuple[float, ...] | None = field(default=None, compare=False)
    surprisals: tuple[float, ...] | None = field(default=None, compare=False)

    @property
    def whole(self) -> NDArray[np.bool_]:
        """The notes, and what a prediction put behind them."""
        return np.concatenate([self.notes, roll(self.following or ())])

    @property
    def content(self) -> Hashable:
        return self.notes.shape, np.packbits(self.notes).tobytes()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Roll):
            return NotImplemented
        return self.name == other.name and np.array_equal(self.notes, other.notes)

    def __hash__(self) -> int:
        return hash((self.name, self.notes.shape))


def roll(steps: Sequence[Sequence[int]]) -> NDArray[np.bool_]:
    """(steps, 128), of the pitches of each step."""
    notes = np.zeros((len(steps), PITCHES), dtype=bool)
    for sounds, pitches in zip(notes, steps, strict=True):
        sounds[list(pitches)] = True
    return notes


def pitches_of(steps: Any) -> list[list[int]]:
    """Of each step, what was given as such. Raises `BadData` for what is no list of lists of pitches."""
    if not isinstance(steps, list) or not steps:
        raise BadData("it has no steps" if steps == [] else f"{steps!r:.40} where a list of steps is expected")
    for place, pitches in enumerate(steps, 1):
        if not isinstance(pitches, list):
            raise BadData(f"step {place} is {pitches!r:.40} where a list of pitches is expected")
        for pitch in pitches:
            if isinstance(pitch, bool) or not isinstance(pitch, int) or not 0 <= pitch < PITCHES:
                raise BadData(f"step {place} holds {pitch!r:.40} where a pitch from 0 to 127 is expected")
    return steps


def called(pitch: int) -> str:
    """A pitch's name, its octave behind it.

    >>> called(60), called(21)
    ('C4', 'A0')
    """
    return f"{NAMES[pitch % 12]}{pitch // 12 - 1}"


def sounding(steps: Iterable[Iterable[int]]) -> Iterator[str]:
    """The notes of each step, given as pitches, by their names; `-` where none sounds.

    >>> " | ".join(sounding([(60, 64), (), (67,)]))
    'C4 E4 | - | G4'
    """
    for pitches in steps:
        yield " ".join(map(called, pitches)) or "-"


def scale(key: str | None) -> NDArray[np.bool_] | None:
    """Which of all pitches a key has. Raises `BadOption` for what is no key.

    >>> np.flatnonzero(scale("D minor"))[:7].tolist()
    [0, 2, 4, 5, 7, 9, 10]
    """
    if key is None:
        return None
    tonic, _, mode = key.strip().partition(" ")
    steps = {"major": MAJOR, "minor": MINOR}.get(mode.strip().lower() or "major")
    name = tonic[:1].upper() + tonic[1:].replace("♯", "#")
    if name.endswith(("b", "♭")) and len(name) == 2 and name[0] in NAMES:
        name = NAMES[(NAMES.index(name[0]) - 1) % 12]
    if name not in NAMES or steps is None:
        raise BadOption(f"key is a note and major or minor, such as 'C major' or 'F# minor', not {key!r}")
    of = {(NAMES.index(name) + step) % 12 for step in steps}
    return np.array([pitch % 12 in of for pitch in range(PITCHES)])
