"""The bookkeeping of a beam search's steps, compiled: which of the rows' candidates go on.

As in `recurrence`, everything that the compiled code takes on trust is looked at here.
"""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unrolled.kernels.library import Picking, needed


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
        self._address, self._pick = ctypes.addressof(self._given), needed().unrolled_pick

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
        if best.shape != shape or tokens.shape != shape or log_p.shape != shape[:1] or room.shape != (self._sources,):
            shapes = [tuple(each.shape) for each in (best, tokens, log_p, room)]
            raise ValueError(f"{self._rows} rows of {self._sources} sources do not fit {shapes}")
        wanted = (torch.float64, torch.long, np.float64, np.int64)
        if (best.dtype, tokens.dtype, log_p.dtype, room.dtype) != wanted or not (best.is_cpu and tokens.is_cpu):
            found = [each.dtype for each in (best, tokens, log_p, room)]
            raise ValueError(f"wanted are {list(wanted)} on the CPU, not {found}")
        best, tokens = best.contiguous(), tokens.contiguous()
        held = torch.from_numpy(np.ascontiguousarray(log_p)), torch.from_numpy(np.ascontiguousarray(room))
        made, sums = torch.empty(2, self._rows, dtype=torch.long), torch.empty(self._rows, dtype=torch.float64)
        given.count, given.best, given.tokens = shape[1], best.data_ptr(), tokens.data_ptr()
        given.log_p, given.room, given.next_log_p = held[0].data_ptr(), held[1].data_ptr(), sums.data_ptr()
        given.next_rows = made.data_ptr()
        given.next_tokens = given.next_rows + self._rows * made.itemsize
        going = self._pick(self._address)
        return None if going < 0 else Rows(made[0], made[1], sums, going)
