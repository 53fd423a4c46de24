"""One example type a task. Formats, tasks, metrics and faces all speak it: a prediction is an example with its blank
filled in, so a file of predictions is a file of examples, and what was read can be written again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


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
        origin: file and line, where it was read from a file.
        rest: what the format read besides (other columns, comments, tree), kept so that writing loses nothing.
    """

    origin: Origin | None = field(default=None, compare=False, repr=False)
    rest: Any = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, kw_only=True)
class LabelledText(Example):
    """Many to one: a text and its label (several, where the task is multi-label). The blank is `label`.

    Attributes:
        text: raw text.
        label: None where it is not known; a tuple of labels (maybe empty) where several may hold.
        probabilities: filled in by a prediction: label -> probability.
    """

    text: str
    label: str | tuple[str, ...] | None = None
    probabilities: Mapping[str, float] | None = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True)
class TaggedTokens(Example):
    """A label per element: tokens and their tags. The blank is `tags`.

    Attributes:
        tokens: the words; never empty strings.
        tags: as many as tokens; None where they are not known.
        features: further known columns, name -> one value per token, as input beside the word.
        confidence: filled in by a prediction: the probability of each chosen tag.
    """

    tokens: tuple[str, ...]
    tags: tuple[str, ...] | None = None
    features: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    confidence: tuple[float, ...] | None = field(default=None, compare=False)
