"""How a task reads numbers instead of text: each step's numbers to one vector that knows its context.

    sound ──► its spectrum ─┐
                  numbers ──┴► scaled ──► masks ──► dropout ──► stack of recurrences ──► dropout ──► (elements, output)
                          └──► which are missing ─┘

The place of `_reader.Reader`, with the same outside. Numbers are scaled by the mean and the standard deviation that
each feature had in training, which are options of the task, in double precision: a time in seconds since 1970 has more
digits than single precision. A missing number (NaN) is put at the mean, and that it is missing is told in a feature of
its own, where training had some. Of sound the numbers are the bands of its spectrum (`data/spectra.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from unrolled.data.examples import LabelledText, Signal, Speech
from unrolled.data.spectra import Spectra
from unrolled.data.tagged_steps import TaggedSteps
from unrolled.data.tokenisers.base import Tokeniser
from unrolled.data.tokens import tokenise
from unrolled.data.vocabulary import Vocabulary
from unrolled.errors import BadData, BadOption
from unrolled.layers.dropout import LockedDropout
from unrolled.layers.spec_augment import SpecAugment
from unrolled.state import State
from unrolled.tasks._packing import packed, packing
from unrolled.tasks._reader import Reader, ReaderOptions, stack_of
from unrolled.tasks.base import SomeTask

OF_TEXT = (
    "tokens", "vectors", "word_size", "characters", "character_size", "character_hidden", "feature_size",
    "word_dropout", "encoder", "encoder_training", "encoder_dropout", "encoder_rates", "minimum_count",
    "cut",
)  # fmt: skip
"""Options that numbers have no use for."""
OF_SOUND = ("sound", "rate", "bands", "frame_shift")
"""Options of what features are made of sound."""
_NO_TEXT: Mapping[str, Any] = {
    "word_size": 0, "characters": "none", "character_size": 1, "character_hidden": 1, "feature_size": 1,
    "word_dropout": 0.0, "encoders": None, "encoder_training": "frozen", "encoder_dropout": 0.0, "encoder_rates": 0.0,
}  # fmt: skip
"""Of a task that reads no texts."""
SAID = ("inputs", "means", "deviations")
"""Options that the training examples say."""
NUMBERS: Mapping[str, Any] = {"embedding_dropout": 0.0, "dropout": 0.1}
"""Options whose best default for numbers is another than for texts."""


class Encoded(NamedTuple):
    """One example in numbers. values: (steps, features), scaled, NaN where one is missing; target: the task's own."""

    values: NDArray[np.float32]
    target: Any

    @property
    def length(self) -> int:
        """Elements that the example costs."""
        return len(self.values)

    @property
    def tokens(self) -> tuple[str, ...]:
        """What the steps are called, for who looks at them one by one: their numbers."""
        return tuple(" ".join(f"{number:.4g}" for number in step) for step in self.values.tolist())


class Batch(NamedTuple):
    """values: data (elements, features), scaled, NaN where one is missing; targets: the task's own, one a row."""

    values: PackedSequence
    targets: list[Any]
    place: NDArray[np.int64]
    """(elements,): element k of the packed batch is this one of the rows laid end to end in the caller's order."""


class NumberReader(nn.Module):
    """Numbers to one context-aware vector a step.

    Args:
        features: numbers a step.
        means, deviations: of each of them in training, by which they are scaled; None: as they are.
        missing: whether some may be missing, and the network is told which.
        options: the sizes and rates; those of text do not count.
        sound: what features are made of an example, which is sound; None: it is the numbers.
        masked: how many features, and steps, a mask hides in training, at most.
        stacked: so many steps are read as one, the last of them filled up with what it ends in.
    """

    encoders = None
    feature_vocabularies: Mapping[str, Any] = {}

    def __init__(
        self,
        features: int,
        *,
        means: Sequence[float] | None,
        deviations: Sequence[float] | None,
        missing: bool,
        options: ReaderOptions,
        sound: Spectra | None = None,
        masked: tuple[int, int] = (0, 0),
        stacked: int = 1,
    ) -> None:
        super().__init__()
        if stacked < 1:
            raise BadOption(f"stacked must be 1 or more, not {stacked}")
        given = [side for side in (means, deviations) if side is not None]
        if features < 1 or any(len(side) != features for side in given) or len(given) == 1:
            raise BadOption("inputs, means and deviations are of the numbers that training has, and go together")
        self.means = np.array(means or np.zeros(features), dtype=np.float64)
        self.deviations = np.array(deviations or np.ones(features), dtype=np.float64)
        o = self.options = options
        self.size, self.missing, self.sound = features, missing, sound
        self.stacked = stacked
        size = (2 * features if missing else features) * stacked
        self.masks = SpecAugment(*masked, copies=size // features)
        self.embedding_dropout = LockedDropout(o.embedding_dropout)
        self.stack = stack_of(size, o)
        self.dropout = LockedDropout(o.dropout)
        self.output_size = self.stack.output_size + (size if o.connections == "skip" else 0)

    @property
    def ahead(self) -> int:
        """How many of the features of a step, from the first on, know what stands before it."""
        return self.output_size // 2 if self.options.directions == "both" else self.output_size

    def encode(self, example: Signal, target: Any) -> Encoded:
        """Raises `BadData` for numbers that the network does not read."""
        scaled = self.scaled(_read(example, self.size, self.sound, missing=self.missing))
        if np.isinf(scaled).any():
            place = int(np.isinf(scaled).any(1).argmax()) + 1
            raise example.problem(f"a number at step {place} is too far from all that training had")
        return Encoded(self.as_one(scaled), target)

    def scaled(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Numbers as the network reads them. values: (steps, features)."""
        with np.errstate(over="ignore"):
            found: NDArray[np.float32] = ((values.astype(np.float64) - self.means) / self.deviations).astype(np.float32)
        return found

    def as_one(self, scaled: NDArray[np.float32]) -> NDArray[np.float32]:
        """So many steps stacked as the options say, the last of them filled up with what it ends in."""
        if self.stacked == 1:
            return scaled
        short = -len(scaled) % self.stacked
        whole = np.concatenate([scaled, np.repeat(scaled[-1:], short, axis=0)])
        return whole.reshape(-1, self.stacked * self.size)

    def collate(self, encoded: Sequence[Encoded]) -> Batch:
        """One packed batch. Rows keep their order through `sorted_indices`."""
        order, rank, place, sizes = packing([e.length for e in encoded])
        values = np.concatenate([e.values for e in encoded])[place]
        return Batch(packed(values, order, rank, sizes), [e.target for e in encoded], place)

    def forward(self, batch: Batch) -> PackedSequence:
        """The vectors, packed as the batch is; data (elements, output)."""
        x = self.embedding_dropout(self.masks(batch.values._replace(data=self._vectors(batch))))
        outputs, _ = self.stack(x)
        if self.options.connections == "skip":
            outputs = outputs._replace(data=torch.cat([outputs.data, x.data], dim=-1))
        return self.dropout(outputs)

    def _vectors(self, batch: Batch) -> Tensor:
        """What the stack reads: (elements, features), or, where some may be missing, twice as many."""
        x = batch.values.data.to(next(self.parameters()).dtype)
        if not self.missing:
            return x
        gone = x.isnan()
        return torch.cat([x.masked_fill(gone, 0.0), gone.to(x.dtype)], dim=-1)

    def stream_outputs(self, encoded: Sequence[Encoded]) -> Iterator[tuple[Tensor, Tensor]]:
        """For each example: the vectors of the whole at once, and those of its steps read one by one."""
        for one in encoded:
            batch = self.collate([one])
            state, stepped = self.stack.initial_state(1), []
            for x in self._vectors(batch).split(1):
                output, state = self.stack.step(x, state)
                stepped.append(torch.cat([output, x], dim=-1) if self.options.connections == "skip" else output)
            yield self(batch).data, torch.cat(stepped)

    def vectors(self) -> nn.Module:
        return self.embedding_dropout

    def initial_state(self, rows: int) -> State:
        return self.stack.initial_state(rows)

    def read_on(self, values: NDArray[np.float32], state: State) -> tuple[Tensor, State]:
        """Go on with one recording, without dropout. values: (steps, features), scaled and stacked, one step or more ->
        the vectors, (steps, output), and the state after the last.
        """
        self.must_read_forward()
        batch = self.collate([Encoded(values, None)])
        x = batch.values._replace(data=self._vectors(batch))
        outputs, state = self.stack(x, state)
        skips = self.options.connections == "skip"
        return torch.cat([outputs.data, x.data], dim=-1) if skips else outputs.data, state

    def called(self, steps: int) -> tuple[str, ...]:
        """What so many steps of the network are called: of sound the seconds up to their end, else their numbers."""
        if self.sound is None:
            return tuple(str(step + 1) for step in range(steps))
        return tuple(f"{self.sound.seconds((step + 1) * self.stacked):.2f}" for step in range(steps))

    def must_read_forward(self) -> None:
        """Raise `BadOption` where what comes later is read, too."""
        if self.options.directions == "both":
            raise BadOption("what is read in both directions cannot stream: train with directions=forward")


def reader_of(
    vocabularies: Mapping[str, Vocabulary], tokenisers: Mapping[str, Tokeniser], options: Mapping[str, Any]
) -> Reader | NumberReader:
    """What reads the examples of a task with these options: their numbers, or their texts."""
    if options["inputs"]:
        return number_reader(options)
    return Reader(vocabularies, tokenisers, ReaderOptions.of(options))


def number_reader(options: Mapping[str, Any]) -> NumberReader:
    """What reads the numbers of a task with these options, among which those of texts need not be."""
    return NumberReader(
        options["inputs"],
        means=options["means"],
        deviations=options["deviations"],
        missing=options["missing"] == "told",
        options=ReaderOptions.of({**_NO_TEXT, **options}),
        sound=_sound(options),
        masked=(options["masked_features"], options["masked_steps"]),
        stacked=options.get("stacked", 1),
    )


def encoded(reader: Reader | NumberReader, example: LabelledText | Signal, target: Any, rule: Any) -> Any:
    """One example in numbers. rule: by which a text is cut. Raises `BadData` for one that has nothing to read."""
    if isinstance(reader, NumberReader):
        return reader.encode(as_signal(example), target)
    if isinstance(example, Signal):
        raise example.problem("numbers, where this model reads texts")
    tokens = tokenise(example.text, rule)
    if not tokens:
        raise example.problem(f"an empty text: {example.text!r} has no {rule} in it")
    return reader.encode(tokens, {}, target, example.text, rule)


def numeric(
    kind: type[SomeTask],
    vocabularies: Mapping[str, Vocabulary],
    examples: Sequence[Any],
    options: Mapping[str, Any],
    **of_texts: Any,
) -> SomeTask:
    """A task that reads the numbers of these training examples.

    Args:
        vocabularies, options: of its constructor.
        of_texts: what `prepare` was given for texts: all of it must be empty.

    Raises `BadData` for examples of no or other numbers, `BadOption` for options of texts, or for what the examples
    say.
    """
    for name in (*options, *(name for name, given in of_texts.items() if given)):
        if name in OF_TEXT:
            raise BadOption(f"{name} is an option for texts; numbers have none")
        if name in SAID:
            raise BadOption(f"{name} is not to be given: the training examples say it")
    options = {**options, **_heard(examples, options)}
    sound = _sound(options)
    size = examples[0].values.shape[1] if examples[0].values.ndim == 2 else 0
    size = size if sound is None else sound.bands
    may_lack = options.get("missing", "told") == "told"
    every = [_read(as_signal(one), size, sound, missing=may_lack) for one in examples]
    found: dict[str, Any] = {"inputs": size}
    if "missing" not in options:
        found["missing"] = "told" if any(v.dtype.kind == "f" and np.isnan(v).any() for v in every) else "refused"
    if options.get("scaling", "standard") == "standard":
        found["means"], found["deviations"] = _scale(every, size)
    return kind(vocabularies, None, **{**NUMBERS, **options, **found})


def _heard(examples: Sequence[Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of sound: recordings that bring a rate are sound, where nothing else is said, and their most frequent
    rate is that of the model. Raises `BadOption` where none tells it.
    """
    rates = Counter(one.rate for one in examples if isinstance(one, (Signal, Speech)) and one.rate is not None)
    kind = options.get("sound", "mel" if rates else "none")
    if kind == "none":
        return {"sound": "none"} if "sound" in options else {}
    if "rate" not in options and not rates:
        raise BadOption(f"sound={kind}: the recordings do not say how many samples a second they have: give rate")
    return {"sound": kind, "rate": float(options.get("rate") or rates.most_common(1)[0][0])}


def _sound(options: Mapping[str, Any]) -> Spectra | None:
    """What features those options ask for. Raises as `Spectra`."""
    if options.get("sound", "none") == "none":
        return None
    return Spectra(options["sound"], options["rate"], options.get("bands", 40), options.get("frame_shift", 10.0))


def _read(example: Signal, size: int, sound: Spectra | None, *, missing: bool) -> NDArray[Any]:
    """The numbers of an example, or the features of its sound. Raises `BadData` for what cannot be read."""
    if sound is None:
        return _checked(example, size, missing=missing)
    try:
        # An array that a user has at hand may hold other sound the next time; what was read from a file does not.
        of = sound.of if example.origin is None else sound.remembered
        return of(example.values, example.rate)
    except BadData as error:
        raise example.problem(error.problem) from None


def _scale(every: Sequence[NDArray[Any]], size: int) -> tuple[list[float], list[float]]:
    """The mean and the standard deviation of each feature; 1 for one that never changes. NaN does not count."""
    count, total, squares = np.zeros((3, size))
    for values in every:
        count += _known(values)
        total += np.nansum(values, 0, dtype=np.float64)
    mean = total / np.maximum(count, 1)
    for values in every:
        squares += np.nansum((values.astype(np.float64) - mean) ** 2, 0)
    deviation = np.sqrt(squares / np.maximum(count, 1))
    changes = np.isfinite(deviation) & (deviation > 1e-9 * np.abs(mean))
    return mean.tolist(), np.where(changes & (deviation > 0), deviation, 1.0).tolist()


def _known(values: NDArray[Any]) -> NDArray[np.int64]:
    """How many numbers of each feature are there."""
    if values.dtype.kind != "f":
        return np.full(values.shape[1], len(values))
    found: NDArray[np.int64] = (~np.isnan(values)).sum(0)
    return found


def must_be_texts(examples: Sequence[Any], options: Mapping[str, Any]) -> None:
    """Raise `BadData` where numbers are among training texts, `BadOption` for options of numbers."""
    for example in examples:
        if isinstance(example, (Signal, TaggedSteps)):
            raise example.problem("numbers among texts: a model reads either")
    for name in (*SAID, "scaling", "missing", *OF_SOUND, "masked_features", "masked_steps"):
        if name in options:
            raise BadOption(f"{name} is an option for numbers; texts have none")


def as_signal(raw: Any) -> Signal:
    """An example of what a user has at hand. Raises `BadData` for what are no numbers at each step."""
    if isinstance(raw, Signal):
        return raw
    if isinstance(raw, Speech):
        return Signal(values=raw.values, rate=raw.rate, origin=raw.origin)
    if isinstance(raw, TaggedSteps):
        return Signal(values=raw.values, origin=raw.origin)
    if isinstance(raw, (str, LabelledText)):
        raise BadData("a text, where this model reads numbers: an array of (steps, features) is expected")
    try:
        values = np.asarray(raw, dtype=None if isinstance(raw, np.ndarray) else np.float64)
    except (TypeError, ValueError):
        raise BadData("numbers of (steps, features) are expected") from None
    return Signal(values=values)


def _checked(example: Signal, size: int, *, missing: bool) -> NDArray[Any]:
    """The numbers of an example, if they are as many a step as the network reads."""
    values = example.values
    if values.ndim != 2 or values.dtype.kind not in "fiub":
        raise example.problem(
            f"an array of {values.dtype}, shape {values.shape}: numbers of (steps, features) expected"
        )
    if not len(values) or not values.shape[1]:
        raise example.problem(f"no numbers: {len(values)} steps of {values.shape[1]}")
    if values.shape[1] != size:
        raise example.problem(f"{values.shape[1]} numbers a step where training had {size}")
    if values.dtype.kind == "f":
        if np.isinf(values).any():
            raise example.problem(f"an infinite number at step {int(np.isinf(values).any(1).argmax()) + 1}")
        if not missing and np.isnan(values).any():
            place = int(np.isnan(values).any(1).argmax()) + 1
            raise example.problem(f"a missing number at step {place}; in training there was none")
    return values
