"""One element at a time, in constant memory: a tick of a cell without anything that could be done beforehand.

All that does not change between two ticks, weights laid out, buffers, pointers, is made once; a tick is one call.
"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from unrolled.errors import BadOption
from unrolled.kernels.library import Layer, load
from unrolled.kernels.recurrence import KINDS, Packed

SHARED = 1 << 19
"""Multiplications of a tick above which threads share it, by units: they wait for each other twice."""


class Stream:
    """A cell with the state of `batch` rows, which `__call__` moves on by one element.

    Args:
        kind: of `recurrence.KINDS`.
        packed: its weights, laid out; later changes of the weights are not seen.
        batch: rows that are read side by side.
    """

    def __init__(self, kind: str, packed: Packed, batch: int = 1) -> None:
        library, k = load(), KINDS[kind]
        if library is None:
            raise BadOption("there are no compiled kernels")
        if batch < 1:
            raise BadOption(f"a stream needs 1 row or more, not {batch}")
        self._library, self._packed = library, packed  # the pointers below are into them
        hidden, output = packed.hidden, packed.output
        self._shape, self._turn = torch.Size((batch, packed.input)), 0
        self._h = (torch.zeros(batch, output), torch.zeros(batch, output))
        self._c = torch.zeros(batch, hidden) if k.memory else None
        self._gates, self._middle = torch.empty(batch, k.width * hidden), torch.empty(batch, hidden)
        self._sizes, self._starts = torch.tensor([batch]), torch.zeros(1, dtype=torch.int64)
        self._layer = Layer(
            steps=1, batch=batch, hidden=hidden, output=output, input=packed.input, x_stride=packed.input,
            sizes=self._sizes.data_ptr(), starts=self._starts.data_ptr(), packed=packed.room.data_ptr(),
            gates=self._gates.data_ptr(), gates_stride=k.width * hidden,
            h0=self._h[0].data_ptr(), h=self._h[1].data_ptr(), h_stride=output,
        )  # fmt: skip
        if packed.bias:
            self._layer.bias_ih = packed.room.data_ptr()
        if packed.vectors is not None:
            self._layer.vectors = packed.vectors.data_ptr()
        if k.middle:
            self._layer.middle = self._middle.data_ptr()
        if self._c is not None:
            self._layer.c = self._c.data_ptr()
        self._work = batch * k.blocks * hidden * (packed.input + output)
        self._call = (k.code, packed.half, ctypes.addressof(self._layer))

    def __call__(self, x: Tensor) -> Tensor:
        """Read the next element of each row. x: (batch, input), float32 -> hidden states (batch, hidden).

        What is returned is overwritten two calls later; `clone` it to keep it.
        """
        if x.shape != self._shape or x.dtype is not torch.float32 or not x.is_contiguous() or x.is_cuda:
            raise BadOption(
                f"this stream reads contiguous float32 of {tuple(self._shape)} on the CPU, not {describe(x)}"
            )
        threads = torch.get_num_threads() if self._work > SHARED else 1
        self._library.unrolled_step(*self._call, x.data_ptr(), threads)
        self._turn ^= 1
        return self._h[self._turn]

    @property
    def state(self) -> Tensor | tuple[Tensor, Tensor]:
        """A copy of the state: h, or (h, c), each (batch, hidden). May be set."""
        h = self._h[self._turn].clone()
        return h if self._c is None else (h, self._c.clone())

    @state.setter
    def state(self, state: Tensor | tuple[Tensor, Tensor]) -> None:
        given = (state,) if isinstance(state, Tensor) else state
        held = [self._h[self._turn]] if self._c is None else [self._h[self._turn], self._c]
        if [t.shape for t in given] != [t.shape for t in held]:
            raise BadOption(
                f"the state is {len(held)} of {tuple(held[0].shape)}, not {[tuple(t.shape) for t in given]}"
            )
        with torch.no_grad():
            for own, new in zip(held, given, strict=True):
                own.copy_(new)


def describe(x: Tensor) -> str:
    """Type, shape and place of a tensor, for messages."""
    return f"{x.dtype} of {tuple(x.shape)} on {x.device}{'' if x.is_contiguous() else ', not contiguous'}"
