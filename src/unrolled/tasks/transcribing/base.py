"""The contract of every kind of transcriber: from the vectors that its reader made of a recording to a transcript.

A subclass is one file, whose name is the option `kind`. It makes what it learns and has the task hold it (`parts`),
under names that stay as they are, since saved models have them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from unrolled.data.vocabulary import Vocabulary
from unrolled.decoding.prefixes import Text
from unrolled.errors import BadOption
from unrolled.lookup import Trained
from unrolled.state import State
from unrolled.tasks._spoken import SpokenLanguage


@dataclass(frozen=True, kw_only=True)
class Deciding:
    """How to find a transcript.

    Attributes:
        beam: hypotheses that are kept; 1: the likeliest at each step.
        best: how many transcripts are named, the best among them.
        language: a trained language model of the same symbols that has its word; on a command line, its folder. Not
            with `kind=attention`.
        language_weight: of its word.
        bonus: for each symbol, since a language model finds long transcripts unlikely.
        symbols_a_step: of a transducer: symbols that are said at one step, at most; 5 where it is not said.
        length_penalty: of attention: scores are divided by length to the power of it; 1 where it is not said.
    """

    beam: int = 8
    best: int = 1
    language: Annotated[Any, Trained()] = None
    language_weight: float = 0.5
    bonus: float = 0.0
    symbols_a_step: int | None = None
    length_penalty: float | None = None

    def __post_init__(self) -> None:
        for name in ("beam", "best", "symbols_a_step"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise BadOption(f"{name} must be 1 or more, not {value}")
        if self.best > self.beam:
            raise BadOption(f"best={self.best} transcripts of a beam of {self.beam}")
        if self.language is not None and self.beam == 1:
            raise BadOption("a language model has its word in a search: beam must be 2 or more")

    def spoken(self, symbols: Vocabulary) -> dict[str, Any]:
        """The language model's word, as searches take it. Raises as `SpokenLanguage`."""
        language = None if self.language is None else SpokenLanguage(self.language, symbols)
        return {"language": language, "weight": self.language_weight, "bonus": self.bonus}

    def must_be_without(self, kind: str, **names: Any) -> None:
        """Raise `BadOption` where one of these was given, which the kind has not. names: name -> what it is else."""
        for name, default in names.items():
            if getattr(self, name) != default:
                raise BadOption(f"{name} is no option of kind={kind}")


class Listener(ABC):
    """Says what it hears, step by step, while the steps come in pieces."""

    @abstractmethod
    def hear(self, vectors: Tensor) -> list[tuple[int, int]]:
        """What is certain now: of each symbol the step, counted in this piece, and its number. vectors: (steps,
        features), of the reader.
        """

    @property
    @abstractmethod
    def state(self) -> State:
        """All that another one needs to go on from here."""


class Transcribing(ABC):
    """A kind of transcriber.

    Args:
        symbols: that transcripts are made of.
        heard: features of the reader's vectors.
        options: of the task.
    """

    def __init__(self, symbols: Vocabulary, heard: int, options: Mapping[str, Any]) -> None:
        self.symbols, self.options = symbols, options

    @abstractmethod
    def parts(self) -> dict[str, nn.Module]:
        """What learns, by the names under which the task holds it."""

    @abstractmethod
    def loss(self, read: PackedSequence, targets: Sequence[Tensor]) -> Tensor:
        """The sum over all rows, a scalar. read: of the reader; targets: of each row, in the caller's order, the
        symbols, (symbols,), long.
        """

    @abstractmethod
    def texts(self, read: PackedSequence, how: Deciding) -> list[list[Text]]:
        """Of each row, in the caller's order, the texts that were found, the best first. Raises `BadOption`."""

    @abstractmethod
    def says(self, read: PackedSequence, targets: Sequence[Tensor | None], place: int) -> Tensor:
        """Of each row, in the caller's order, the log-probabilities of what may be said there, (rows, choices), with a
        graph. place: negative from the end.
        """

    @property
    @abstractmethod
    def choices(self) -> tuple[str, ...]:
        """What the choices of `says` are called."""

    @abstractmethod
    def see(self, read: PackedSequence, targets: Sequence[Tensor | None]) -> None:
        """Run the network once over what was heard and, where it reads that, over what was said."""

    @abstractmethod
    def listener(self, how: Deciding, saved: State | None) -> Listener:
        """What says while it hears, as `texts` with a beam of 1 would of the whole. saved: of another one's `state`.

        Raises `BadOption` where the kind must hear the whole first.
        """

    @property
    def reads(self) -> str | None:
        """What stands for nothing among the symbols that its recurrences read; None: they read none."""
        return None

    def steps_needed(self, target: NDArray[np.int64]) -> int:
        """How many a recording must have for such a transcript."""
        return 1

    def decisions(self, targets: Sequence[Tensor]) -> int:
        """What the loss is to be divided by."""
        return max(sum(map(len, targets)), 1)
