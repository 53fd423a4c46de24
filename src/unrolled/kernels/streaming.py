"""One element at a time, in constant memory.

`tick` is a single step of any rows, from the state that it is given. A `Stream` holds the state itself: all that does
not change between two ticks, buffers, pointers, is made once, and a tick is one call.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from itertools import cycle

import torch
from torch import Tensor

from unrolled.errors import BadOption
from unrolled.kernels.library import Layer, Tick, load
from unrolled.kernels.recurrence import KINDS, Packed

SHARED = 1 << 19
"""Multiplications of a tick above which threads share it, by units: they wait for each other twice."""


FLOAT = torch.float32
"""Two look-ups less in a tick of microseconds."""

_ALONE = torch.zeros(1, dtype=torch.int64)
"""Where the first time step begins."""


def tick(kind: str, packed: Packed, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """One step of a cell.

    Args:
        kind: of `recurrence.KINDS`.
        packed: its weights, laid out.
        x: (batch, input), float32.
        state: (h,) or (h, c), each (batch, features), float32.

    Returns:
        The state after it, of which h is the output.

    Raises:
        ValueError: shapes, types or devices are other ones.
    """
    k, batch, hidden, output = KINDS[kind], x.shape[0], packed.hidden, packed.output
    x, h0 = checked(x, batch, packed.input), checked(state[0], batch, output)
    c = checked(state[1], batch, hidden).clone() if k.memory else None
    sizes, h, gates = one_step(batch), x.new_empty(batch, output), x.new_empty(batch, k.width * hidden)
    middle = x.new_empty(batch, hidden) if k.middle else None
    layer = _layer(kind, packed, batch, sizes, gates, middle, c)
    layer.h0, layer.h = h0.data_ptr(), h.data_ptr()
    library = load()
    assert library is not None  # who has packed weights has it
    library.unrolled_step(
        k.code, packed.half, ctypes.addressof(layer), x.data_ptr(), _threads(_work(kind, packed, batch))
    )
    return (h,) if c is None else (h, c)


def checked(x: Tensor, batch: int, features: int) -> Tensor:
    """The tensor without gaps, if it is (batch, features) of float32 on the CPU; else a `ValueError`."""
    if x.shape != (batch, features) or x.dtype is not torch.float32 or not x.is_cpu or batch < 1:
        raise ValueError(f"wanted is float32 of {(batch, features)} on the CPU, 1 row or more, not {describe(x)}")
    return x.contiguous()


@lru_cache(maxsize=256)
def one_step(rows: int) -> Tensor:
    """The batch sizes of a single time step, (1,); to be read only: making a tensor takes longer than reading one."""
    return torch.tensor([rows])


def _work(kind: str, packed: Packed, batch: int) -> int:
    """Multiplications of a tick."""
    return batch * KINDS[kind].blocks * packed.hidden * (packed.input + packed.output)


def _threads(work: int) -> int:
    return torch.get_num_threads() if work > SHARED else 1


def _layer(
    kind: str, packed: Packed, batch: int, sizes: Tensor, gates: Tensor, middle: Tensor | None, c: Tensor | None
) -> Layer:
    """A layer of one time step; h0 and h are missing."""
    if packed.kind != kind:
        raise ValueError(f"these weights are laid out for a {packed.kind}, not for a {kind}")
    return Layer(
        steps=1, batch=batch, hidden=packed.hidden, output=packed.output, input=packed.input, x_stride=packed.input,
        sizes=sizes.data_ptr(), starts=_ALONE.data_ptr(), packed=packed.room.data_ptr(),
        bias_ih=packed.room.data_ptr() if packed.bias else None,
        vectors=None if packed.vectors is None else packed.vectors.data_ptr(),
        gates=gates.data_ptr(), gates_stride=KINDS[kind].width * packed.hidden,
        middle=None if middle is None else middle.data_ptr(), c=None if c is None else c.data_ptr(),
        h_stride=packed.output,
    )  # fmt: skip


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
        self._packed = packed  # the pointers below are into it
        hidden, output = packed.hidden, packed.output
        self._shape = torch.Size((batch, packed.input))
        self._h = (torch.zeros(batch, output), torch.zeros(batch, output))
        self._c = torch.zeros(batch, hidden) if k.memory else None
        self._gates, self._middle = torch.empty(batch, k.width * hidden), torch.empty(batch, hidden)
        self._sizes = torch.tensor([batch])
        middle = self._middle if k.middle else None
        self._layer = _layer(kind, packed, batch, self._sizes, self._gates, middle, self._c)
        self._layer.h0, self._layer.h = self._h[0].data_ptr(), self._h[1].data_ptr()
        self._shared, self._tick = _work(kind, packed, batch) > SHARED, library.unrolled_tick
        self._fixed = Tick(k.code, packed.half, 1, ctypes.pointer(self._layer))
        self._at, self._next = ctypes.addressof(self._fixed), cycle(self._h[::-1]).__next__

    def __call__(self, x: Tensor) -> Tensor:
        """Read the next element of each row. x: (batch, input), float32 -> hidden states (batch, hidden).

        What is returned is overwritten two calls later; `clone` it to keep it.
        """
        if x.shape != self._shape or x.dtype is not FLOAT or not x.is_contiguous() or not x.is_cpu:
            raise BadOption(
                f"this stream reads contiguous float32 of {tuple(self._shape)} on the CPU, not {describe(x)}"
            )
        if self._shared:
            self._fixed.threads = torch.get_num_threads()
        self._tick(self._at, x.data_ptr())
        return self._next()

    def _held(self) -> list[Tensor]:
        """The state itself. After a tick the compiled code reads h from where it has just written it."""
        h = self._h[self._layer.h0 != self._h[0].data_ptr()]
        return [h] if self._c is None else [h, self._c]

    @property
    def state(self) -> Tensor | tuple[Tensor, Tensor]:
        """A copy of the state: h, or (h, c), each (batch, hidden). May be set."""
        held = [tensor.clone() for tensor in self._held()]
        return held[0] if len(held) == 1 else (held[0], held[1])

    @state.setter
    def state(self, state: Tensor | tuple[Tensor, Tensor]) -> None:
        given, held = (state,) if isinstance(state, Tensor) else state, self._held()
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
