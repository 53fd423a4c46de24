"""MIDI files, by mido: a piece a file, its notes put on a grid of equal steps. A folder of them is read as one.

A step is half a quarter note, an eighth, or what `division` says: 4 of them are sixteenths, 3 triplets, 12 hold both.
Where a note begins or ends off the grid, that is rounded to the nearest step, half of one up; it sounds in one at
least. All tracks and channels are one, but for channel 10, which has drums. A piece ends where the last track of its
notes does, so that a rest may end it. Written again, a pitch that sounds in steps that follow each other is one note
that is held; where a note was struck again inside a held one, that is lost.

As a text a piece is what happens in it, an event a word, which keeps each stroke (`--set tokens=blanks`):

    +60     a note begins, by its pitch
    -60     it ends
    >2      two steps pass, 16 at most
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unrolled.data.examples import Example, Origin, Passage
from unrolled.data.formats.base import Format
from unrolled.data.music import FINEST, PITCHES, Roll
from unrolled.errors import BadData, MissingExtra

TEMPO = 120.0
"""Quarter notes a minute, where nothing tells."""
DRUMS = 9
LONGEST = 1 << 20
"""Steps that a piece may have: a file of a few bytes can name a time in the year 3000."""
PAUSE = 16
"""Steps that pass in an event, at most."""
TICKS = 480
"""Of a quarter note, in what is written: so many, or the next number that has whole ticks in each step."""
VELOCITY = 80


class Note(NamedTuple):
    """A pitch that sounds from the step `begin` on, and no more from the step `end` on."""

    begin: int
    end: int
    pitch: int


class MIDI(Format):
    """One piece."""

    suffixes: ClassVar[tuple[str, ...]] = (".mid", ".midi")
    holds: ClassVar[tuple[type[Example], ...]] = (Roll, Passage)
    streamed: ClassVar[bool] = False
    binary: ClassVar[bool] = True
    gathered: ClassVar[bool] = True

    def read_stream(self, stream: Iterable[bytes], where: str | Path = "standard input") -> Iterator[Example]:
        content = b"".join(stream)
        if not content:
            raise BadData("the file is empty", where)
        mido = _mido()
        try:
            file = mido.MidiFile(file=io.BytesIO(content), clip=True)
        except (OSError, EOFError, ValueError, KeyError, IndexError, TypeError, mido.KeySignatureError) as error:
            raise BadData(f"not a MIDI file that can be read: {error or type(error).__name__}", where) from None
        if file.ticks_per_beat < 1:
            raise BadData("its time is in frames of a film, not in parts of a quarter note", where)
        notes, end, tempo = _notes(file, self.division, where)
        origin = Origin(where, 1)
        if self.example_type is Passage:
            yield Passage(text=" ".join(_events(notes, end)), origin=origin)
            return
        sounding = np.zeros((end, PITCHES), dtype=bool)
        for note in notes:
            sounding[note.begin : note.end, note.pitch] = True
        yield Roll(notes=sounding, name=_name(where), division=self.division, tempo=tempo, origin=origin)

    def write_stream(self, examples: Iterable[Example], where: str | Path = "standard output") -> Iterator[bytes]:
        pieces = list(examples)
        if any(isinstance(piece, Passage) and piece.following is not None for piece in pieces):
            # They are no events that happen; without them the file would be the one that was read.
            raise BadData(
                "a MIDI file has no place for what probably comes next; write text or jsonl instead, or let "
                "`unrolled generate MODEL --prompt '+60 >2 -60' --output FILE.mid` go on from events",
                where,
            )
        if len(pieces) != 1:
            several = f"a MIDI file holds one piece, not {len(pieces)}"
            if all(isinstance(piece, Passage) for piece in pieces):
                # A line of a text is a piece.
                raise BadData(
                    rf"{several}; write text instead, or one sample that ends with its line: --stop '\n'", where
                )
            raise BadData(f"{several}; write rolls instead", where)
        (piece,) = pieces
        if isinstance(piece, Passage):
            notes, end = _heard(piece)
            if not notes:
                raise piece.problem("no note begins in these events: a MIDI file without one could not be read again")
            yield _file(notes, end, self.division, TEMPO)
            return
        assert isinstance(piece, Roll)
        if not 1 <= piece.division <= FINEST:
            raise piece.problem(f"{piece.division} steps of a quarter note: 1 to {FINEST} can be written")
        yield _file(_held(piece.whole), len(piece.whole), piece.division, piece.tempo)


def _notes(file: Any, division: int, where: str | Path) -> tuple[list[Note], int, float]:
    """In the order of their beginnings; the steps of the piece; quarter notes a minute.

    Raises `BadData` for a file without a note, and one that is too long.
    """
    spans: list[tuple[int, int, int]] = []
    tempo, drums, last = None, False, 0
    for track in file.tracks:
        now, held, before = 0, dict[tuple[int, int], list[int]](), len(spans)
        for message in track:
            now += message.time
            if message.type == "set_tempo" and tempo is None:
                tempo = 60e6 / max(message.tempo, 1)
            if message.type not in ("note_on", "note_off") or message.channel == DRUMS:
                drums = drums or message.type == "note_on"
                continue
            key = message.channel, message.note
            if message.type == "note_on" and message.velocity:
                held.setdefault(key, []).append(now)
            elif held.get(key):
                spans.append((held[key].pop(0), now, message.note))
        spans += [(begin, now, pitch) for (_, pitch), begins in held.items() for begin in begins]
        # A track without notes, of drums or of words, may go on long after the music.
        if len(spans) > before:
            last = max(last, now)
    if not spans:
        but = " but those of drums (channel 10), which are not read" if drums else ""
        raise BadData(f"the file holds no notes{but}: a piece has one at least", where)

    def step(tick: int) -> int:
        return (2 * tick * division + file.ticks_per_beat) // (2 * file.ticks_per_beat)

    placed = [Note(step(begin), max(step(end), step(begin) + 1), pitch) for begin, end, pitch in spans]
    steps = max(step(last), *(note.end for note in placed))
    if steps > LONGEST:
        raise BadData(f"a piece of {steps:,} steps: {LONGEST:,} at most are read", where)
    return sorted(placed), steps, tempo or TEMPO


def _changes(notes: Iterable[Note]) -> Iterator[tuple[int, list[tuple[bool, int]]]]:
    """The steps at which something happens, in order, and what: whether a pitch begins, and which.

    What ends comes first, so that a note that is struck again sounds.
    """
    every = [(n.begin, True, n.pitch) for n in notes] + [(n.end, False, n.pitch) for n in notes]
    for step, group in groupby(sorted(every), key=lambda change: change[0]):
        yield step, [(begins, pitch) for _, begins, pitch in group]


def _events(notes: Iterable[Note], end: int) -> Iterator[str]:
    """Of a piece of so many steps."""
    now = 0
    for step, changes in chain(_changes(notes), [(end, [])]):
        while now < step:
            passed = min(step - now, PAUSE)
            yield f">{passed}"
            now += passed
        for begins, pitch in changes:
            yield f"{'+' if begins else '-'}{pitch}"


def _heard(piece: Passage) -> tuple[list[Note], int]:
    """The notes of events, and how many steps all last, a rest at their end too.

    What ends without a beginning is passed over, as a model may say it; what has no end lasts to the last step. Raises
    `BadData` for a word that is no event.
    """
    now, held, found = 0, dict[int, list[int]](), list[Note]()
    for word in piece.text.split():
        number = int(word[1:]) if word[1:].isascii() and word[1:].isdecimal() and len(word) < 5 else -1
        if word[0] not in "+->" or not 0 <= number < PITCHES:
            raise piece.problem(f"{word!r} where an event such as +60, -60 or >2 is expected")
        if word[0] == ">":
            now += number
        elif word[0] == "+":
            held.setdefault(number, []).append(now)
        elif held.get(number):
            found.append(Note(held[number].pop(0), now, number))
    found += [Note(begin, now, pitch) for pitch, begins in held.items() for begin in begins]
    found = sorted(note._replace(end=max(note.end, note.begin + 1)) for note in found)
    return found, max(now, *(note.end for note in found), 0)


def _held(notes: NDArray[np.bool_]) -> list[Note]:
    """A pitch that sounds in steps that follow each other, as one note."""
    silent = np.zeros((1, PITCHES), dtype=np.int8)
    edges = np.diff(np.concatenate([silent, notes.astype(np.int8), silent]), axis=0).T
    begins, ends = (np.argwhere(edges == sign) for sign in (1, -1))
    return [Note(int(a), int(b), int(pitch)) for (pitch, a), (_, b) in zip(begins, ends, strict=True)]


def _file(notes: Sequence[Note], end: int, division: int, tempo: float) -> bytes:
    """end: of the track, in steps, at or after the last note's."""
    mido = _mido()
    ticks = -(-TICKS // division)  # of a step
    file = mido.MidiFile(type=0, ticks_per_beat=ticks * division)
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=round(60e6 / tempo), time=0)])
    now = 0
    for step, changes in _changes(notes):
        for begins, pitch in changes:
            at = step * ticks
            kind, velocity = ("note_on", VELOCITY) if begins else ("note_off", 0)
            track.append(mido.Message(kind, note=pitch, velocity=velocity, time=at - now))
            now = at
    track.append(mido.MetaMessage("end_of_track", time=end * ticks - now))
    file.tracks.append(track)
    content = io.BytesIO()
    file.save(file=content)
    return content.getvalue()


def _name(where: str | Path) -> str:
    return Path(where).name.partition(".")[0]


def _mido() -> Any:
    try:
        import mido
    except ImportError:
        raise MissingExtra("mido", extra="music", need="reading and writing MIDI files") from None
    return mido
