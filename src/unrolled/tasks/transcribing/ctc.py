"""Connectionist temporal classification, Graves et al. 2006; with deep recurrences Graves, Mohamed & Hinton 2013,
arXiv:1303.5778: at each step a symbol, or the blank.

The loss is that of all ways in which the transcript can be spread over the steps. What is said at a step does not
depend on what was said before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import ctc_loss
from torch.nn.utils.rnn import PackedSequence, unpack_sequence

from unrolled.data.vocabulary import Vocabulary
from unrolled.decoding.ctc import best_path, prefix_beam
from unrolled.decoding.prefixes import Text
from unrolled.layers.packed import at, lengths, to_padded
from unrolled.state import State
from unrolled.tasks.transcribing.base import Deciding, Listener, Transcribing

BLANK = "(none)"
"""What it is called where no symbol is said."""


class CTC(Transcribing):
    """See the top of the file. The blank's number is the one behind the symbols'."""

    def __init__(self, symbols: Vocabulary, heard: int, options: Mapping[str, Any]) -> None:
        super().__init__(symbols, heard, options)
        self.blank = len(symbols)
        self.output = nn.Linear(heard, self.blank + 1)

    def parts(self) -> dict[str, nn.Module]:
        return {"output": self.output}

    def loss(self, read: PackedSequence, targets: Sequence[Tensor]) -> Tensor:
        return summed_loss(self._log_p(read), targets, self.blank)

    def texts(self, read: PackedSequence, how: Deciding) -> list[list[Text]]:
        how.must_be_without("ctc", symbols_a_step=None, length_penalty=None)
        rows, spoken = unpack_sequence(self._log_p(read)), how.spoken(self.symbols)
        if how.beam == 1:
            return [[best_path(_numpy(log_p), self.blank)] for log_p in rows]
        return [prefix_beam(_numpy(log_p), self.blank, beam=how.beam, **spoken) for log_p in rows]

    def says(self, read: PackedSequence, targets: Sequence[Tensor | None], place: int) -> Tensor:
        """At a step."""
        return at(self._log_p(read), place)

    @property
    def choices(self) -> tuple[str, ...]:
        return (*self.symbols, BLANK)

    def see(self, read: PackedSequence, targets: Sequence[Tensor | None]) -> None:
        self._log_p(read)

    def listener(self, how: Deciding, saved: State | None) -> Listener:
        how.must_be_without("ctc", symbols_a_step=None, length_penalty=None)
        return _Path(self, saved)

    def steps_needed(self, target: NDArray[np.int64]) -> int:
        return steps_needed(target)

    def _log_p(self, read: PackedSequence) -> PackedSequence:
        return read._replace(data=self.output(read.data).log_softmax(-1))


class _Path(Listener):
    """The best path, which needs to know what stood at the step before."""

    def __init__(self, kind: CTC, saved: State | None) -> None:
        self.kind = kind
        self.last = torch.tensor([kind.blank]) if saved is None else saved

    @torch.no_grad()
    def hear(self, vectors: Tensor) -> list[tuple[int, int]]:
        path = self.kind.output(vectors).log_softmax(-1).argmax(1)
        before, self.last = torch.cat([self.last, path[:-1]]), path[-1:].clone()
        new = ((path != before) & (path != self.kind.blank)).nonzero().squeeze(1)
        return list(zip(new.tolist(), path[new].tolist(), strict=True))

    @property
    def state(self) -> State:
        return self.last


def steps_needed(target: NDArray[np.int64]) -> int:
    """How many a recording must have for such a transcript: between two of the same symbol a blank must stand."""
    return len(target) + int((target[1:] == target[:-1]).sum())


def summed_loss(log_p: PackedSequence, targets: Sequence[Tensor], blank: int) -> Tensor:
    """Minus the log-probability of all rows' transcripts, a scalar.

    Args:
        log_p: data (elements, symbols and the blank).
        targets: of each row, in the caller's order, (symbols,), long.
        blank: which of the numbers the blank is.
    """
    order = range(len(targets)) if log_p.sorted_indices is None else log_p.sorted_indices.tolist()
    packed = [targets[row] for row in order]
    return ctc_loss(
        to_padded(log_p.data, log_p.batch_sizes).transpose(0, 1),
        torch.cat(packed),
        lengths(log_p.batch_sizes),
        torch.tensor([len(target) for target in packed]),
        blank=blank,
        reduction="sum",
    )


def _numpy(log_p: Tensor) -> np.ndarray:
    found: np.ndarray = log_p.double().numpy()
    return found
