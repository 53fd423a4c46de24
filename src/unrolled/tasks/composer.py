"""Music, step by step: which notes sound next, given those before.

    notes of a step ──► a vector ──► recurrences ──► the notes of the next step, each by itself or one above the other

A note by itself is a sigmoid (Bai, Kolter & Koltun 2018, arXiv:1803.01271, section 4.3); that a chord is one thing is
known to `chords=nade`, in which each note hears those below it (`layers/nade.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, unpack_sequence

from unrolled.data.batching import in_order
from unrolled.data.feeds import Feed, Piece, Shuffled
from unrolled.data.music import PITCHES, Roll, pitches_of, roll, scale, sounding
from unrolled.data.tokenisers.base import Tokeniser
from unrolled.data.vocabulary import Vocabulary
from unrolled.errors import BadData, BadOption
from unrolled.layers.dropout import LockedDropout
from unrolled.layers.nade import NADE, Independent
from unrolled.layers.packed import caller_order, last
from unrolled.layers.stack import CellName, make_cell, make_stack
from unrolled.layers.weight_drop import WeightDrop
from unrolled.state import State
from unrolled.tasks._packing import packed, packing
from unrolled.tasks.base import Loss, Task


class Encoded(NamedTuple):
    """A piece in numbers. notes: (steps, pitches), 0 or 1, from the pitch `lowest` on."""

    notes: NDArray[np.float32]
    lowest: int

    @property
    def length(self) -> int:
        """Elements that it costs."""
        return len(self.notes)

    @property
    def tokens(self) -> tuple[str, ...]:
        """The steps but the last, by the names of their notes."""
        return tuple(sounding((np.flatnonzero(step) + self.lowest).tolist() for step in self.notes[:-1]))


class Batch(NamedTuple):
    """read: data (elements, pitches); due: (elements, pitches), what sounds at the next step."""

    read: PackedSequence
    due: Tensor


@dataclass(frozen=True, kw_only=True)
class Deciding:
    """How to go on with a piece.

    Attributes:
        steps: how many.
        temperature: of each note's choice: below 1 what is likely is likelier still.
        key: whose notes alone may sound, such as `C major` or `F# minor`; None: all.
        seed: of the choice.
    """

    steps: int = 32
    temperature: float = 1.0
    key: str | None = None
    seed: int = 1

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise BadOption(f"steps must be 1 or more, not {self.steps}")
        if not self.temperature > 0:
            raise BadOption(f"temperature must be more than 0, not {self.temperature}")
        scale(self.key)


class Composer(Task):
    """The notes of the next step.

    Args:
        vocabularies: none.
        lowest, highest: pitches that are read and said, MIDI's numbers; the piano's, where training goes no further.
        chords: each note by itself (`independent`), or hearing those below it (`nade`).
        chord_size: `nade`: units between the notes below and a note.
        transposed: in training each piece is moved by up to so many semitones, anew each epoch.
        cell, hidden_size, layers, dropout, embedding_dropout, weight_drop, initialisation, forget_bias, cell_options:
            as in `Tagger`; word_size: features of a step's vector.
    """

    example = Roll
    metric = "log_likelihood"
    deciding = Deciding
    settings: ClassVar[Mapping[str, Any]] = {
        "learning_rate": 3e-3,
        "batch_rows": 16,
        "batch_elements": 4096,
        "epochs": 60.0,
        "averaging": "exponential",
    }

    def __init__(
        self,
        vocabularies: Mapping[str, Vocabulary],
        tokenisers: Mapping[str, Tokeniser] | None = None,
        *,
        lowest: int = 21,
        highest: int = 108,
        chords: Literal["independent", "nade"] = "nade",
        chord_size: int = 64,
        transposed: int = 5,
        cell: CellName = "lstm",
        hidden_size: int = 200,
        layers: int = 1,
        word_size: int = 128,
        embedding_dropout: float = 0.2,
        dropout: float = 0.4,
        weight_drop: float = 0.0,
        initialisation: Literal["orthogonal", "uniform"] = "orthogonal",
        forget_bias: float = 1.0,
        cell_options: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(vocabularies, tokenisers)
        if not 0 <= lowest <= highest < PITCHES:
            raise BadOption(f"lowest and highest must be pitches, 0 to {PITCHES - 1}: {lowest} and {highest}")
        if transposed < 0:
            raise BadOption(f"transposed must be 0 or more, not {transposed}")
        notes = highest - lowest + 1
        self.read_notes = nn.Linear(notes, word_size)
        self.embedding_dropout, self.dropout = LockedDropout(embedding_dropout), LockedDropout(dropout)

        def make(size: int) -> Any:
            made = make_cell(
                cell, size, hidden_size, cell_options, initialisation=initialisation, forget_bias=forget_bias
            )
            return WeightDrop(made, weight_drop) if weight_drop else made

        self.stack = make_stack(
            word_size, make, layers=layers, directions="forward", connections="plain", dropout=dropout
        )
        given = self.stack.output_size
        self.output = NADE(given, notes, chord_size) if chords == "nade" else Independent(given, notes)

    @classmethod
    def prepare(cls, examples: Sequence[Roll], **options: Any) -> Composer:
        """A composer for these pieces.

        Raises `BadData` for no pieces, or one of fewer than two steps.
        """
        if not examples:
            raise BadData("there are no pieces to learn from")
        counts = np.sum([_checked(example).notes.sum(0) for example in examples], axis=0)
        heard = np.flatnonzero(counts)
        if not len(heard):
            raise BadData("no piece has a note")
        options.setdefault("lowest", min(21, int(heard[0])))
        options.setdefault("highest", max(108, int(heard[-1])))
        task, steps = cls({}, None, **options), sum(len(example.notes) for example in examples)
        shares = (counts[task.options["lowest"] : task.options["highest"] + 1] + 0.5) / (steps + 1)
        task.output.expect(torch.from_numpy(shares))
        return task

    def encode(self, example: Roll) -> Encoded:
        lowest, highest = self.options["lowest"], self.options["highest"]
        beyond = _checked(example).notes.copy()
        beyond[:, lowest : highest + 1] = False
        if beyond.any():
            step, pitch = (int(place[0]) for place in np.nonzero(beyond))
            raise example.problem(f"the pitch {pitch} at step {step + 1}; training had {lowest} to {highest}")
        return Encoded(example.notes[:, lowest : highest + 1].astype(np.float32), lowest)

    def feed(self, examples: Sequence[Any], *, elements: int, rows: int, seed: int) -> Feed:
        encoded = [self.encode(example) for example in examples]
        return Transposed(encoded, self.options["transposed"], elements=elements, rows=rows, seed=seed)

    def collate(self, encoded: Sequence[Encoded]) -> Batch:
        order, rank, place, sizes = packing([e.length - 1 for e in encoded])
        read = np.concatenate([e.notes[:-1] for e in encoded])[place]
        due = torch.from_numpy(np.concatenate([e.notes[1:] for e in encoded])[place])
        return Batch(packed(read, order, rank, sizes), due)

    def loss(self, batch: Batch) -> Loss:
        return Loss(self._losses(self._read(batch.read)[0].data, batch).sum(), len(batch.due))

    def _read(self, notes: PackedSequence) -> tuple[PackedSequence, State]:
        vectors = self.embedding_dropout(notes._replace(data=self._vectors(notes.data)))
        outputs, state = self.stack(vectors)
        return self.dropout(outputs), state

    def _vectors(self, notes: Tensor) -> Tensor:
        found: Tensor = self.read_notes(notes.to(self.read_notes.weight.dtype))
        return found

    def _losses(self, h: Tensor, batch: Batch) -> Tensor:
        return self.output.losses(self.output(h), batch.due.to(h.dtype))

    def vectors(self) -> nn.Module:
        return self.embedding_dropout

    def see(self, batch: Batch) -> None:
        self._read(batch.read)

    def decide(self, batch: Batch, **options: Any) -> list[dict[str, Any]]:
        """All rows draw with the same numbers, so that none depends on its batch mates."""
        how = Deciding(**options)
        outputs, state = self._read(batch.read)
        bits = outputs._replace(data=self._losses(outputs.data, batch) / math.log(2))
        due, ends = batch.due, caller_order(last(batch.read.batch_sizes), batch.read)
        drawn = list(self._drawn(due.index_select(0, ends), state, how))
        found = []
        for row, surprisals in enumerate(unpack_sequence(bits)):
            following = [tuple((self.options["lowest"] + notes[row].nonzero()[:, 0]).tolist()) for notes, _ in drawn]
            confidence = tuple(float(p[row]) for _, p in drawn)
            found.append({"following": tuple(following), "confidence": confidence})
            found[-1]["surprisals"] = tuple(surprisals.tolist())
        return found

    def _drawn(self, notes: Tensor, state: State, how: Deciding) -> Iterator[tuple[Tensor, Tensor]]:
        """Step by step, (rows, pitches) and their probabilities, (rows,). notes: the last ones, state: before them."""
        lowest, highest = self.options["lowest"], self.options["highest"]
        key = scale(how.key)
        allowed = None if key is None else torch.from_numpy(key[lowest : highest + 1])
        # NumPy promises the raw numbers of a bit generator for ever, those of its distributions not.
        raw = np.random.PCG64(np.random.SeedSequence(how.seed)).random_raw((how.steps, highest - lowest + 1))
        for numbers in torch.from_numpy((raw >> np.uint64(11)) * 2.0**-53).split(1):
            h, state = self.stack.step(self._vectors(notes), state)
            said = self.output(h)
            notes = self.output.draw(said, numbers, how.temperature, allowed)
            yield notes, torch.exp(-self.output.losses(said, notes))

    def measure(self, examples: Sequence[Any], **options: Any) -> dict[str, float]:
        """As `score`; nothing is drawn for it."""
        encoded = [self.encode(example) for example in examples]
        if not encoded:
            raise BadData("there are no pieces to score")
        nats = []
        with self.evaluating(), torch.no_grad():
            for rows in in_order([one.length for one in encoded], elements=4096, rows=32):
                batch = self.collate([encoded[row] for row in rows])
                nats.append(self._losses(self._read(batch.read)[0].data, batch).double().numpy())
        return _figures(np.concatenate(nats))

    def score(self, predicted: Sequence[Any], gold: Sequence[Any]) -> dict[str, float]:
        """`negative_log_likelihood` in nats a step, of all steps but the first of each piece (as Bai et al. have it),
        and `log_likelihood`, its negative, which decides which weights are best. What was made up is not judged.
        """
        return _figures(math.log(2) * np.concatenate([piece.surprisals for piece in predicted]))

    @torch.inference_mode()
    def stream_outputs(self, examples: Sequence[Any]) -> Iterator[tuple[Tensor, Tensor]]:
        """For each piece: what the network makes of its steps at once, and read one by one."""
        for example in examples:
            batch = self.collate([self.encode(example)])
            state, stepped = self.stack.initial_state(1), []
            for x in self._vectors(batch.read.data).split(1):
                output, state = self.stack.step(x, state)
                stepped.append(output)
            yield self._read(batch.read)[0].data, torch.cat(stepped)

    def read(self, raw: Any) -> Roll:
        """A roll; the pitches of each step, in lists; or an array (steps, 128), true or false."""
        if isinstance(raw, Roll):
            return raw
        if isinstance(raw, np.ndarray):
            if raw.ndim != 2 or raw.shape[1] != PITCHES or raw.dtype.kind not in "biu":
                raise BadData(
                    f"an array of {raw.dtype}, {raw.shape}, where a piano roll is expected, (steps, {PITCHES})"
                )
            return Roll(notes=raw.astype(bool))
        return Roll(notes=roll(pitches_of(raw)))


class Transposed(Shuffled):
    """Pieces, each moved by some semitones, anew each epoch, as far as all its notes stay within the range.

    Args:
        encoded: the pieces.
        most: semitones, up or down.
        elements, rows, seed: as `Shuffled`.
    """

    def __init__(self, encoded: Sequence[Encoded], most: int, *, elements: int, rows: int, seed: int) -> None:
        super().__init__(encoded, elements=elements, rows=rows, seed=seed)
        self._most = most

    def plan(self, epoch: int) -> list[Piece]:
        return [(epoch, piece) for piece in super().plan(epoch)]

    def take(self, piece: Piece) -> list[Any]:
        epoch, rows = piece
        if not self._most:
            return super().take(rows)
        found = []
        for row, one in zip(rows, super().take(rows), strict=True):
            raw = np.random.PCG64(np.random.SeedSequence([self._seed, epoch, int(row), 2])).random_raw()
            shift = int(raw % np.uint64(2 * self._most + 1)) - self._most
            sounding = np.flatnonzero(one.notes.any(0))
            if len(sounding) and sounding[0] + shift >= 0 and sounding[-1] + shift < one.notes.shape[1]:
                one = one._replace(notes=np.roll(one.notes, shift, axis=1))
            found.append(one)
        return found

    def size(self, piece: Piece) -> tuple[int, int]:
        return super().size(piece[1])

    def cost(self, piece: Piece) -> float:
        return super().cost(piece[1])


def _figures(nats: NDArray[np.float64]) -> dict[str, float]:
    mean = float(nats.mean())
    return {"negative_log_likelihood": mean, "log_likelihood": -mean}


def _checked(example: Roll) -> Roll:
    if example.notes.ndim != 2 or example.notes.shape[1] != PITCHES:
        raise example.problem(f"notes of shape {example.notes.shape}: (steps, {PITCHES}) is expected")
    if len(example.notes) < 2:
        raise example.problem(f"a piece of {len(example.notes)} steps: 2 or more are needed to learn what follows")
    return example
