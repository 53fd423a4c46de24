"""One element at a time, in constant memory: a tick of a cell without anything that could be done beforehand.

All that does not change between two ticks, weights laid out, buffers, pointers, is made once; a tick is one call.
"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from unrolled.errors import BadOption
from unrolled.kernels.library import Layer, Product, load
from unrolled.kernels.recurrence import KINDS, Packed


class Stream:
    """A cell with the state of `batch` rows, which `__call__` moves on by one element.

    Args:
        kind: of `recurrence.KINDS`.
        packed: its weights, laid out; later changes of the weights are not seen.
        input_size, hidden_size: features of an element, units.
        batch: rows that are read side by side.
    """

    def __init__(self, kind: str, packed: Packed, input_size: int, hidden_size: int, batch: int = 1) -> None:
        library, k = load(), KINDS[kind]
        if library is None:
            raise BadOption("there are no compiled kernels")
        if batch < 1:
            raise BadOption(f"a stream needs 1 row or more, not {batch}")
        self._library, self._packed = library, packed  # the pointers below are into them
        self._shape, self._turn = torch.Size((batch, input_size)), 0
        self._h = (torch.zeros(batch, hidden_size), torch.zeros(batch, hidden_size))
        self._c = torch.zeros(batch, hidden_size) if k.memory else None
        self._gates = torch.empty(batch, k.width * hidden_size)
        self._sizes, self._starts = torch.tensor([batch]), torch.zeros(1, dtype=torch.int64)
        layer = self._layer = Layer(
            steps=1, batch=batch, hidden=hidden_size, sizes=self._sizes.data_ptr(), starts=self._starts.data_ptr(),
            weights=packed.hidden.data_ptr(), gates=self._gates.data_ptr(), gates_stride=k.width * hidden_size,
            h0=self._h[0].data_ptr(), h=self._h[1].data_ptr(), h_stride=hidden_size,
        )  # fmt: skip
        if packed.vectors is not None:
            layer.vectors = packed.vectors.data_ptr()
        if self._c is not None:
            layer.c = self._c.data_ptr()
        self._inputs = (Product * len(k.inputs))()
        for product, panels, (first, count, to) in zip(self._inputs, packed.inputs, k.inputs, strict=True):
            product.a_stride, product.rows, product.depth = input_size, batch, input_size
            product.columns, product.b = count * hidden_size, panels.data_ptr()
            if packed.bias is not None:
                product.bias = packed.bias.data_ptr() + 4 * first * hidden_size
            product.c, product.c_stride = self._gates.data_ptr() + 4 * to * hidden_size, k.width * hidden_size
        self._call = (k.code, packed.half, ctypes.addressof(layer), ctypes.addressof(self._inputs), len(k.inputs))

    def __call__(self, x: Tensor) -> Tensor:
        """Read the next element of each row. x: (batch, input), float32 -> hidden states (batch, hidden).

        What is returned is overwritten two calls later; `clone` it to keep it.
        """
        if x.shape != self._shape or x.dtype is not torch.float32 or not x.is_contiguous() or x.is_cuda:
            raise BadOption(
                f"this stream reads contiguous float32 of {tuple(self._shape)} on the CPU, not {describe(x)}"
            )
        pointer = x.data_ptr()
        for product in self._inputs:
            product.a = pointer
        self._library.unrolled_step(*self._call)
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
