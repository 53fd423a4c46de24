"""A tagger of numbers that answers at each step as it comes. A line is a step, an empty line ends a recording."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unrolled.data.examples import Origin, Signal
from unrolled.data.formats._signal_rows import value_of
from unrolled.data.lines import is_blank
from unrolled.errors import BadData, BadOption
from unrolled.state import State
from unrolled.tasks._numbers import NumberReader
from unrolled.tasks._streaming import fingerprint
from unrolled.tasks.base import Streamer

LONGEST = 1_000_000
"""Characters of a line, at most: what never ends must not fill the memory."""
STREAM = "the stream"
"""In the place of a file's name."""


class StepStreamer(Streamer):
    """A stream of numbers. Answers are `element`, the line, or of an array the number of the step since the recording
    began; and what is said of it.

    What comes in one piece is read in one go, so that a long one costs less than its steps one by one.

    Args:
        task: is put into evaluation mode.
        reader: a part of it.
        said: the answer to what is known at a step, (1, features).
        saved: of another one's `state`.

    Raises `BadOption` where what comes later is read, too, and where what was saved is no such state, or that of
    another model.
    """

    def __init__(
        self, task: nn.Module, reader: NumberReader, said: Callable[[Tensor], dict[str, Any]], saved: State | None
    ) -> None:
        reader.must_read_forward()
        task.eval()
        self.reader, self.said, self.model = reader, said, fingerprint(task)
        self.waiting = ""
        self.lines = self.steps = 0
        self.carried: State = reader.initial_state(1)
        if saved is None:
            return
        if not isinstance(saved, dict) or set(saved) != {"model", "counts", "carried"}:
            raise BadOption("this is no state of a stream of numbers")
        if not torch.equal(saved["model"], self.model):
            raise BadOption("this is a stream's state of another model: it can go on with its own alone")
        self.lines, self.steps = saved["counts"].tolist()
        self.carried = saved["carried"]

    def read(self, piece: str | NDArray[Any]) -> Iterator[dict[str, Any]]:
        """piece: text, in which commas or blanks stand between the numbers of a line; or an array, (steps, features).

        Raises `BadData` for a line that holds something else, after the answers to those before it.
        """
        if not isinstance(piece, str):
            values = self.reader.encode(Signal(values=np.asarray(piece)), None).values
            names = [str(self.steps + k) for k in range(1, len(values) + 1)]
            yield from self._answers(names, [values])
            return
        *lines, self.waiting = (self.waiting + piece).split("\n")
        yield from self._of_lines(lines)
        if len(self.waiting) > LONGEST:
            raise BadData(f"a line of more than {LONGEST:,} characters", STREAM, self.lines + 1)

    def finish(self) -> Iterator[dict[str, Any]]:
        line, self.waiting = self.waiting, ""
        if not is_blank(line):
            yield from self._of_lines([line])

    @property
    def state(self) -> State:
        return {"model": self.model, "counts": torch.tensor([self.lines, self.steps]), "carried": self.carried}

    def _of_lines(self, lines: Sequence[str]) -> Iterator[dict[str, Any]]:
        names: list[str] = []
        rows: list[NDArray[np.float32]] = []
        for line in lines:
            self.lines += 1
            if is_blank(line):
                yield from self._answers(names, rows)
                names, rows = [], []
                self.carried, self.steps = self.reader.initial_state(1), 0
                continue
            try:
                row = self._numbers(line)
            except BadData:
                yield from self._answers(names, rows)
                raise
            names.append(line.strip())
            rows.append(row)
        yield from self._answers(names, rows)

    def _numbers(self, line: str) -> NDArray[np.float32]:
        """The step of a line, (1, features), scaled."""
        values = []
        for cell in line.split(",") if "," in line else line.split():
            try:
                values.append(value_of(cell))
            except ValueError:
                raise BadData(f"{cell.strip()!r} where a number is expected", STREAM, self.lines) from None
        return self.reader.encode(Signal(values=np.array([values]), origin=Origin(STREAM, self.lines)), None).values

    def _answers(self, names: Sequence[str], rows: Sequence[NDArray[np.float32]]) -> list[dict[str, Any]]:
        """rows: scaled, as many steps in all as there are names."""
        if not names:
            return []
        with torch.no_grad():
            vectors, self.carried = self.reader.read_on(np.concatenate(rows), self.carried)
            self.steps += len(names)
            return [
                {"element": name, **self.said(vector)} for name, vector in zip(names, vectors.split(1), strict=True)
            ]
