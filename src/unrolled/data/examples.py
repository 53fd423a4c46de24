"""One example type a task. Formats, tasks, metrics and faces all speak it: a prediction is an example with its blank
filled in, so a file of predictions is a file of examples, and what was read can be written again.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from unrolled.data.step_lines import StepLines, first_of, line_of
from unrolled.errors import BadData


@dataclass(frozen=True)
class Origin:
    """Where an example came from, for messages."""

    path: str | Path
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


@dataclass(frozen=True, kw_only=True)
class Example:
    """What every example has.

    Attributes:
        blank: the name of the field that a prediction fills in.
        called: what people call such examples.
        needs_answer: whether training and evaluation need the blank filled in.
        runs_on: whether an example goes on where the one before it ended, as the lines of a text do.
        origin: file and line, where it was read from a file.
        rest: what the format read besides (other columns, comments, tree), kept so that writing loses nothing.
    """

    blank: ClassVar[str]
    called: ClassVar[str] = "other examples"
    needs_answer: ClassVar[bool] = True
    runs_on: ClassVar[bool] = False

    origin: Origin | None = field(default=None, compare=False, repr=False)
    rest: Any = field(default=None, compare=False, repr=False)

    @property
    def content(self) -> Hashable:
        """What is given, without the blank: two examples of one content are duplicates, whatever their labels."""
        raise NotImplementedError

    def problem(self, what: str) -> BadData:
        """The error that says what is wrong with this example, and where it was read."""
        return BadData(what) if self.origin is None else BadData(what, self.origin.path, self.origin.line)


@dataclass(frozen=True, kw_only=True)
class LabelledText(Example):
    """Many to one: a text and its label (several, where the task is multi-label). The blank is `label`.

    Attributes:
        text: raw text.
        label: None where it is not known; a tuple of labels (maybe empty) where several may hold.
        probabilities: filled in by a prediction: label -> probability.
    """

    blank: ClassVar[str] = "label"
    called: ClassVar[str] = "texts with labels"

    text: str
    label: str | tuple[str, ...] | None = None
    probabilities: Mapping[str, float] | None = field(default=None, compare=False)

    @property
    def content(self) -> Hashable:
        return self.text


@dataclass(frozen=True, kw_only=True, eq=False)
class Signal(Example):
    """Many to one: numbers at each step (a sensor's, a film's, an image's pixels), and a label. The blank is `label`.

    Two are equal where their numbers and their labels are, whatever the type that holds the numbers.

    Attributes:
        values: (steps, features), real numbers; NaN where one is missing.
        label: None where it is not known; a tuple of labels where several may hold. A quantity is its digits.
        series: what it is called in its file, where it is one of several series.
        rate: steps a second, where that is known, as of sound.
        probabilities: filled in by a prediction: label -> probability; none of a quantity.
    """

    blank: ClassVar[str] = "label"
    called: ClassVar[str] = "numbers with labels"

    values: NDArray[Any]
    label: str | tuple[str, ...] | None = None
    series: str | None = None
    rate: float | None = field(default=None, compare=False)
    probabilities: Mapping[str, float] | None = field(default=None, compare=False)

    @property
    def content(self) -> Hashable:
        return self.values.shape, np.ascontiguousarray(self.values).tobytes()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Signal):
            return NotImplemented
        return _alike(self.values, other.values) and self.label == other.label

    def __hash__(self) -> int:
        return hash((self.values.shape, self.label))


@dataclass(frozen=True, kw_only=True, eq=False)
class Speech(Example):
    """Sound to text: a recording, or numbers at each step, and what is said in it. The blank is `transcript`.

    Attributes:
        values: (samples,), (samples, channels) or (steps, features), real numbers.
        transcript: None where it is not known.
        rate: samples a second, where that is known.
        score: filled in by a prediction: how good it takes the transcript to be, as a log-probability.
        alternatives: filled in by a prediction: further transcripts, the best first, each with its score.
    """

    blank: ClassVar[str] = "transcript"
    called: ClassVar[str] = "recordings with transcripts"

    values: NDArray[Any]
    transcript: str | None = None
    rate: float | None = field(default=None, compare=False)
    score: float | None = field(default=None, compare=False)
    alternatives: tuple[tuple[str, float], ...] | None = field(default=None, compare=False)

    @property
    def content(self) -> Hashable:
        return self.values.shape, np.ascontiguousarray(self.values).tobytes()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Speech):
            return NotImplemented
        return _alike(self.values, other.values) and self.transcript == other.transcript

    def __hash__(self) -> int:
        return hash((self.values.shape, self.transcript))


@dataclass(frozen=True, eq=False)
class Forecast:
    """What is said of the steps that come.

    Attributes:
        time: of each, where the series has times.
        median: (steps,), as much above as below.
        levels: of the quantiles, in (0, 1).
        quantiles: (steps, levels).
    """

    time: tuple[str, ...] | None
    median: NDArray[np.float64]
    levels: tuple[float, ...]
    quantiles: NDArray[np.float64]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Forecast):
            return NotImplemented
        same = (self.time, self.levels) == (other.time, other.levels)
        return same and _alike(self.median, other.median) and _alike(self.quantiles, other.quantiles)

    def __hash__(self) -> int:
        return hash((self.time, self.levels))


@dataclass(frozen=True, kw_only=True, eq=False)
class Series(Example):
    """Values in time, to be gone on with. The blank is `forecast`; what a model learns from is the series itself.

    Two are equal where their names, times, values, known columns and histories are.

    Attributes:
        values: (steps,), real numbers; NaN where one is missing, and where one is still to come.
        series: its name.
        time: of each step, as its file has it; None where it has none.
        ahead: (steps, features), what is known beforehand too, of steps that are still to come as well.
        observed: (steps, features), what is known when its step has passed.
        static: what does not change, a word each.
        history: so many of the first steps are there to be looked back at: what is scored begins behind them.
        forecast: filled in by a prediction.
        rest: of a table with a row a step, column -> the cells as they were read, one a step.
        lines: where its steps stand, where each has a line.
    """

    blank: ClassVar[str] = "forecast"
    called: ClassVar[str] = "series"
    needs_answer: ClassVar[bool] = False

    values: NDArray[np.float64]
    series: str = ""
    time: tuple[str, ...] | None = None
    ahead: NDArray[np.float64] | None = None
    observed: NDArray[np.float64] | None = None
    static: tuple[str, ...] = ()
    history: int = field(default=0, compare=False)
    forecast: Forecast | None = field(default=None, compare=False)
    lines: tuple[StepLines, ...] = field(default=(), compare=False, repr=False)

    @property
    def content(self) -> Hashable:
        return self.series, self.time, np.ascontiguousarray(self.values).tobytes()

    @property
    def known(self) -> int:
        """Steps up to the last one whose value is known."""
        there = np.flatnonzero(~np.isnan(self.values))
        return int(there[-1]) + 1 if len(there) else 0

    @property
    def title(self) -> str:
        return f"the series {self.series!r}" if self.series else "the series"

    def upto(self, step: int, history: int = 0) -> Series:
        """Its first steps alone."""
        ahead, observed = (None if one is None else one[:step] for one in (self.ahead, self.observed))
        time = None if self.time is None else self.time[:step]
        rest = self.rest
        if isinstance(rest, Mapping):
            rest = {column: cells[:step] for column, cells in rest.items()}
        kept: dict[str, Any] = {"values": self.values[:step], "lines": first_of(self.lines, step)}
        return replace(self, time=time, ahead=ahead, observed=observed, history=history, rest=rest, **kept)

    def problem_at(self, step: int, what: str) -> BadData:
        """As `problem`, with the line of a step where it has one."""
        where = line_of(self.lines, step)
        return self.problem(what) if where is None else BadData(what, *where)

    def followed_by(self, later: Series) -> Series:
        """A later part behind this one, which is its history; where that begins with this one, it alone.

        Raises `BadData` where only one of them has times, or other columns.
        """
        if (self.time is None) != (later.time is None):
            raise later.problem(f"of the parts of {self.title} one has times and one has none")
        count = len(self.values)
        if self.time is not None and later.time is not None and later.time[:1] == self.time[:1]:
            return replace(later, history=min(count, len(later.values)))
        joined: dict[str, Any] = {"values": np.concatenate([self.values, later.values])}
        joined["history"] = count + later.history
        joined["lines"] = (*self.lines, *later.lines) if self.lines and later.lines else ()
        for name in ("ahead", "observed"):
            one, other = getattr(self, name), getattr(later, name)
            if (one is None) != (other is None) or (one is not None and one.shape[1] != other.shape[1]):
                raise later.problem(f"the parts of {self.title} have other columns that are {name}")
            joined[name] = None if one is None else np.concatenate([one, other])
        joined["rest"] = _behind(self.rest, later.rest, count, len(later.values))
        time = None if self.time is None or later.time is None else (*self.time, *later.time)
        return replace(later, time=time, **joined)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Series):
            return NotImplemented
        pairs = ((self.ahead, other.ahead), (self.observed, other.observed))
        known = all((a is None) == (b is None) and (a is None or b is None or _alike(a, b)) for a, b in pairs)
        named = (self.series, self.time, self.static, self.history)
        there = (other.series, other.time, other.static, other.history)
        return named == there and known and _alike(self.values, other.values)

    def __hash__(self) -> int:
        return hash((self.series, self.time, self.static, self.history))


def _behind(one: Any, other: Any, count: int, further: int) -> Any:
    """The cells of so many steps, and those of further ones behind them; None where either are not there."""
    if not (isinstance(one, Mapping) and isinstance(other, Mapping)):
        return None
    return {
        column: (*one.get(column, ("",) * count), *other.get(column, ("",) * further)) for column in {**one, **other}
    }


def _alike(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return bool(np.array_equal(one, other, equal_nan=one.dtype.kind == "f"))


@dataclass(frozen=True, kw_only=True)
class TaggedTokens(Example):
    """A label per element: tokens and their tags. The blank is `tags`.

    Attributes:
        tokens: the words; never empty strings.
        tags: as many as tokens; None where they are not known.
        features: further known columns, name -> one value per token, as input beside the word.
        confidence: filled in by a prediction: the probability of each chosen tag.
    """

    blank: ClassVar[str] = "tags"
    called: ClassVar[str] = "tokens with tags"

    tokens: tuple[str, ...]
    tags: tuple[str, ...] | None = None
    features: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    confidence: tuple[float, ...] | None = field(default=None, compare=False)

    @property
    def content(self) -> Hashable:
        return self.tokens


@dataclass(frozen=True, kw_only=True)
class Pair(Example):
    """Any sequence to any other: a source and its target, such as a translation. The blank is `target`.

    Several examples of one source with different targets are normal, as in a pronouncing dictionary.

    Attributes:
        source: raw text.
        target: None where it is not known.
        score: filled in by a prediction: how good it takes the target to be, as a log-probability.
        alternatives: filled in by a prediction: further targets, the best first, each with its score.
    """

    blank: ClassVar[str] = "target"
    called: ClassVar[str] = "pairs of source and target"

    source: str
    target: str | None = None
    score: float | None = field(default=None, compare=False)
    alternatives: tuple[tuple[str, float], ...] | None = field(default=None, compare=False)

    @property
    def content(self) -> Hashable:
        return self.source


@dataclass(frozen=True, kw_only=True)
class Question(Example):
    """A question, with or without a text that it is about, and its answer. The blank is `answer`.

    Attributes:
        question: raw text.
        context: a story or a paragraph in which to look; None where there is none.
        answer: None where it is not known; a tuple of two or more where any of them is right; "" where the context is
            known to hold none, as in SQuAD 2.0.
        score: filled in by a prediction: how good it takes the answer to be, as a log-probability.
        alternatives: filled in by a prediction: further answers, the best first, each with its score.
    """

    blank: ClassVar[str] = "answer"
    called: ClassVar[str] = "questions with answers"

    question: str
    context: str | None = None
    answer: str | tuple[str, ...] | None = None
    score: float | None = field(default=None, compare=False)
    alternatives: tuple[tuple[str, float], ...] | None = field(default=None, compare=False)

    @property
    def content(self) -> Hashable:
        return self.question, self.context

    @property
    def answers(self) -> tuple[str, ...]:
        """All that are right; none where the answer is not known."""
        if self.answer is None:
            return ()
        return (self.answer,) if isinstance(self.answer, str) else self.answer


@dataclass(frozen=True, kw_only=True)
class Passage(Example):
    """A line of a text, to be read on from. The blank is `following`; what a model learns from is the text itself.

    Attributes:
        text: raw text, without its line end.
        above: how many empty lines stand before it.
        following: filled in by a prediction: the likeliest next elements, each with its probability.
        surprisals: filled in by a prediction: each element of the text and -log2 of its probability, in bits.
    """

    blank: ClassVar[str] = "following"
    called: ClassVar[str] = "texts"
    needs_answer: ClassVar[bool] = False
    runs_on: ClassVar[bool] = True

    text: str
    above: int = field(default=0, compare=False)
    following: tuple[tuple[str, float], ...] | None = None
    surprisals: tuple[tuple[str, float], ...] | None = field(default=None, compare=False)

    @property
    def content(self) -> Hashable:
        return self.text
