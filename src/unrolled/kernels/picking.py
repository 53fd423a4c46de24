"""The bookkeeping of a beam search's steps, compiled: which of the rows' candidates go on.

As in `recurrence`, everything that the compiled code takes on trust is looked at here.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unrolled.kernels import leading
from unrolled.kernels.library import Leading, Picking, needed
from unrolled.kernels.streaming import describe


class Rows(NamedTuple):
    """The next step's rows, (rows,) each: what each continues, by which token, and log-probabilities, -inf: empty.

    going: how many are not empty.
    """

    parents: Tensor
    tokens: Tensor
    log_p: Tensor
    going: int


class Picker:
    """For rows that stay whose they are.

    Args:
        counts: (sources,), how many rows each source has; they stand side by side.
        width: of the beam.
        end: the end mark.
    """

    def __init__(self, counts: NDArray[np.int64], width: int, end: int) -> None:
        sources, starts = len(counts), np.concatenate([[0], counts.cumsum()])
        self._starts, self._rows, self._sources = torch.from_numpy(starts), int(starts[-1]), sources
        made = torch.empty(2, sources, width, dtype=torch.long)
        log_p = torch.empty(sources, width, dtype=torch.float64)
        self._kept = (made, log_p)  # the structure has their addresses only
        self.picked: tuple[NDArray[Any], ...] = (made[0].numpy(), made[1].numpy(), log_p.numpy())
        self._given = Picking(
            sources=sources, width=width, end=end, starts=self._starts.data_ptr(), picked_rows=made[0].data_ptr(),
            picked_tokens=made[1].data_ptr(), picked_log_p=log_p.data_ptr(),
        )  # fmt: skip
        self._leading, self._room_for = Leading(rows=self._rows), 0
        self._addresses = ctypes.addressof(self._leading), ctypes.addressof(self._given)

    def __call__(self, best: Tensor, tokens: Tensor, log_p: NDArray[Any], room: NDArray[Any]) -> Rows | None:
        """Pick. `picked` then holds the best continuations of each source, (sources, width) each: rows, tokens and the
        log-probabilities of hypotheses, -inf where there are no more; until the next call.

        Args:
            best: (rows, candidates), float64, log-probabilities, the largest first.
            tokens: (rows, candidates), long.
            log_p: (rows,), float64, of the hypotheses; -inf where a row is empty.
            room: (sources,), long: how many continuations of each are wanted.

        Returns:
            The next step's rows; None where more is to be done: a row has candidates that are no numbers, or none,
            something ends, or a source has more continuations than rows.

        Raises:
            ValueError: something does not fit.
        """
        shape, given = (self._rows, best.shape[-1]), self._given
        types = (best.dtype, tokens.dtype) == (torch.float64, torch.long) and best.is_cpu and tokens.is_cpu
        if best.shape != shape or tokens.shape != shape or not types:
            found = [describe(each) for each in (best, tokens)]
            raise ValueError(f"wanted are candidates of {self._rows} rows, float64 and long, on the CPU, not {found}")
        best, tokens = best.contiguous(), tokens.contiguous()
        given.count, given.best, given.tokens = shape[1], best.data_ptr(), tokens.data_ptr()
        return self._next(log_p, room, lambda: needed().unrolled_pick(self._addresses[1]))

    def of_logits(
        self, logits: Tensor, count: int, barred: Tensor | None, log_p: NDArray[Any], room: NDArray[Any]
    ) -> Rows | None:
        """The same, where the candidates are the likeliest words of logits, as `leading.find` has them.

        `best` then holds their log-probabilities, (rows, count), until the next call.
        """
        logits, barred = leading.checked(logits, count, barred)
        if len(logits) != self._rows:
            raise ValueError(f"wanted are logits of {self._rows} rows, not {describe(logits)}")
        if count != self._room_for:
            self._make_room(count)
        words = self._leading
        words.logits, words.words, words.stride = logits.data_ptr(), logits.shape[1], logits.stride(0)
        words.barred = None if barred is None else barred.data_ptr()
        threads = leading.threads(logits)
        return self._next(log_p, room, lambda: needed().unrolled_pick_of(*self._addresses, threads))

    def _make_room(self, count: int) -> None:
        """For so many words of each row."""
        rows, words, given = self._rows, self._leading, self._given
        logits, places = torch.empty(rows, count, dtype=torch.float32), torch.empty(rows, count, dtype=torch.long)
        norms, best = torch.empty(rows, dtype=torch.float64), torch.empty(rows, count, dtype=torch.float64)
        self._found, self._room_for, self.best = (logits, places, norms, best), count, best.numpy()
        words.count, words.best, words.places = count, logits.data_ptr(), places.data_ptr()
        words.norms = norms.data_ptr()
        given.count, given.best, given.tokens = count, best.data_ptr(), places.data_ptr()

    def _next(self, log_p: NDArray[Any], room: NDArray[Any], pick: Callable[[], int]) -> Rows | None:
        fit = log_p.shape == (self._rows,) and room.shape == (self._sources,)
        if not fit or (log_p.dtype, room.dtype) != (np.float64, np.int64):
            found = [(each.dtype, each.shape) for each in (log_p, room)]
            raise ValueError(
                f"wanted are {self._rows} sums in float64 and {self._sources} counts in int64, not {found}"
            )
        held = torch.from_numpy(np.ascontiguousarray(log_p)), torch.from_numpy(np.ascontiguousarray(room))
        (parents, tokens), sums = (
            torch.empty(2, self._rows, dtype=torch.long).unbind(),
            torch.empty(self._rows, dtype=torch.float64),
        )
        given = self._given
        given.log_p, given.room, given.next_log_p = held[0].data_ptr(), held[1].data_ptr(), sums.data_ptr()
        given.next_rows, given.next_tokens = parents.data_ptr(), tokens.data_ptr()
        going = pick()
        return None if going < 0 else Rows(parents, tokens, sums, going)
