"""Several kernels one after the other by one call from Python, for loops with little to do in each step.

What does not change from step to step, sizes and where everything stands, is looked at and written down once. As in
`recurrence`, everything that the compiled code takes on trust is looked at here.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import Structure, c_int64, c_void_p
from functools import partial
from typing import Any

import torch
from torch import Tensor

from unrolled.kernels import looking, matrix, recurrence, streaming
from unrolled.kernels.attention import Batch, Memory
from unrolled.kernels.library import Product, needed
from unrolled.kernels.looking import Given, Made
from unrolled.kernels.recurrence import Packed

_TICK, _MULTIPLY, _LOOK, _COPY, _ADD, _TAKE = range(6)


class Call(Structure):
    """`csrc/chain_types.h`: one of the calls. What may be put in another place from run to run is set directly."""

    _fields_ = [
        ("kind", c_int64),
        ("cell", c_int64),
        ("half", c_int64),
        ("threads", c_int64),
        ("first", c_void_p),
        ("second", c_void_p),
        ("rows", c_int64),
        ("columns", c_int64),
        ("source", c_void_p),
        ("other", c_void_p),
        ("source_stride", c_int64),
        ("other_stride", c_int64),
        ("target", c_void_p),
        ("target_stride", c_int64),
        ("index", c_void_p),
        ("limit", c_int64),
    ]


class Chain:
    """Calls of kernels, and of Python between them, in the order in which they are added.

    All tensors are float32 on the CPU, (rows, …) with rows of neighbouring floats. Those that are given are kept, and
    read and written where they stand at every run.

    Raises `ValueError` where something does not fit.
    """

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._kept: list[Any] = []
        self._parts: list[Call | Callable[[], object]] = []

    def tick(self, packed: Packed, x: Tensor, h0: Tensor, h: Tensor, c: Tensor | None) -> None:
        """A step of a cell from h0 to h; c: goes from one cell state to the next where it stands.

        packed: its weights; x: (rows, input), h0, h: (rows, output), c: (rows, hidden), or None where there is none.
        """
        kind, rows, hidden = packed.kind, self._rows, packed.hidden
        k = recurrence.KINDS[kind]
        self._must_be(x, packed.input, whole=True)
        for t in (h0, h):
            self._must_be(t, packed.output, whole=True)
        if (c is None) == k.memory:
            raise ValueError(f"a {kind} has {'a' if k.memory else 'no'} cell state")
        if c is not None:
            self._must_be(c, hidden, whole=True)
        gates, middle = torch.empty(rows, k.width * hidden), torch.empty(rows, hidden) if k.middle else None
        sizes = streaming.one_step(rows)
        layer = streaming._layer(kind, packed, rows, sizes, gates, middle, c)
        layer.h0, layer.h = h0.data_ptr(), h.data_ptr()
        self._kept.append((packed, x, h0, h, c, gates, middle, sizes, layer))
        threads = streaming._threads(streaming._work(kind, packed, rows))
        self._add(kind=_TICK, cell=k.code, half=packed.half, threads=threads, first=ctypes.addressof(layer),
                  source=x.data_ptr())  # fmt: skip

    def multiply(self, a: Tensor, by: Tensor, bias: Tensor | None, half: bool, c: Tensor) -> Product:
        """c = a b + bias. a: (rows, depth); by: b, (depth, columns), in panels; bias: (columns,); c: (rows, columns).

        Returns what says where c is, to be set from run to run.
        """
        (depth, columns), library = (a.shape[1], c.shape[1]), needed()
        self._must_be(a, depth)
        self._must_be(c, columns)
        if by.shape != (library.unrolled_matrix_size(half, depth, columns),) or by.dtype is not matrix.TYPES[half]:
            raise ValueError(f"these are no panels of {depth} rows and {columns} columns: {streaming.describe(by)}")
        if bias is not None and (bias.shape != (columns,) or not bias.is_contiguous()):
            raise ValueError(f"a bias must be {columns} floats, not {streaming.describe(bias)}")
        product = Product(
            a.data_ptr(), a.stride(0), self._rows, depth, columns, by.data_ptr(),
            None if bias is None else bias.data_ptr(), c.data_ptr(), c.stride(0), False,
        )  # fmt: skip
        self._kept.append((a, by, bias, c, product))
        threads = recurrence._threads(self._rows * depth * columns)
        self._add(kind=_MULTIPLY, half=half, threads=threads, first=ctypes.addressof(product))
        return product

    def look(self, queries: Tensor, contexts: Tensor) -> Look:
        """Additive attention of one query a row, from (rows, units) to (rows, features); where to, is said later."""
        self._must_be(queries, queries.shape[1], whole=True)
        self._must_be(contexts, contexts.shape[1], whole=True)
        look = Look(self._add(kind=_LOOK), queries, contexts)
        self._kept.append(look)
        return look

    def copy(self, source: Tensor | None, target: Tensor | None) -> Call:
        """target = source. Returns what says where they are: None is to be set before a run."""
        call = self._add(kind=_COPY, rows=self._rows)
        if source is not None:
            self._must_be(source, source.shape[1] if target is None else target.shape[1])
            call.columns, call.source, call.source_stride = source.shape[1], source.data_ptr(), source.stride(0)
        if target is not None:
            self._must_be(target, target.shape[1] if source is None else source.shape[1])
            call.columns, call.target, call.target_stride = target.shape[1], target.data_ptr(), target.stride(0)
        self._kept.append((source, target))
        return call

    def add(self, a: Tensor, b: Tensor, target: Tensor) -> None:
        """target = a + b."""
        for t in (a, b, target):
            self._must_be(t, target.shape[1])
        self._kept.append((a, b, target))
        self._add(
            kind=_ADD, rows=self._rows, columns=a.shape[1], source=a.data_ptr(), source_stride=a.stride(0),
            other=b.data_ptr(), other_stride=b.stride(0), target=target.data_ptr(), target_stride=target.stride(0),
        )  # fmt: skip

    def take(self, table: Tensor, target: Tensor) -> Call:
        """Rows of a table, (any, columns). Returns what says where the `index` is, (rows,), to be set at every run."""
        self._must_be(target, table.shape[1])
        if table.dtype is not torch.float32 or not table.is_cpu or table.stride(1) != 1:
            raise ValueError("a table must be float32 on the CPU, its rows of neighbouring floats")
        self._kept.append((table, target))
        return self._add(
            kind=_TAKE, rows=self._rows, columns=table.shape[1], source=table.data_ptr(),
            source_stride=table.stride(0), target=target.data_ptr(), target_stride=target.stride(0), limit=len(table),
        )  # fmt: skip

    def then(self, function: Callable[[], object]) -> None:
        """Call this at this place."""
        self._parts.append(function)

    def ready(self) -> list[Callable[[], object]]:
        """What is to be called, one after the other, for a run. It raises `IndexError` where an index is none of its
        table's rows.
        """
        runs, found = list[Callable[[], object]](), list[Call]()
        for part in [*self._parts, None]:
            if isinstance(part, Call):
                found.append(part)
                continue
            if found:
                runs.append(partial(_run, (ctypes.c_void_p * len(found))(*map(ctypes.addressof, found)), len(found)))
            if part is not None:
                runs.append(part)
            found = []
        return runs

    def _add(self, **fields: Any) -> Call:
        call = Call(**fields)
        self._parts.append(call)
        return call

    def _must_be(self, t: Tensor, columns: int, *, whole: bool = False) -> None:
        """whole: without gaps between the rows."""
        rows = t.dim() == 2 and t.stride(1) == 1 and (t.stride(0) == columns if whole else t.stride(0) >= columns)
        if t.shape != (self._rows, columns) or t.dtype is not torch.float32 or not t.is_cpu or not rows:
            raise ValueError(f"wanted is float32 of {(self._rows, columns)} on the CPU, not {streaming.describe(t)}")


class Look:
    """Attention in a chain. longest: places of the longest memory."""

    def __init__(self, call: Call, queries: Tensor, contexts: Tensor) -> None:
        self.longest = 0
        self._call, self._queries, self._contexts = call, queries, contexts

    def at(self, memory: Memory, keys: Tensor, value: Tensor) -> None:
        """Look at these from now on. keys: (places, units); value: (units,).

        Raises `ValueError` where they do not fit.
        """
        rows = len(self._queries)
        packed = Batch(self._queries, streaming.one_step(rows), torch.zeros(1, dtype=torch.long))
        given = looking._looked_at(Given(packed, memory, keys, value))
        if given.memory.places.shape[1] != self._contexts.shape[1]:
            raise ValueError(f"contexts have {self._contexts.shape[1]} features, places {given.memory.places.shape[1]}")
        self.longest = memory.longest
        self._weights = self._contexts.new_empty(rows, self.longest)
        self._layer, self._looks = looking._structures(given, Made(self._contexts, self._weights))
        self._given, self._call.threads = given, looking._threads(given)
        self._call.first, self._call.second = ctypes.addressof(self._layer), ctypes.addressof(self._looks)

    def leave_weights(self, weights: Tensor) -> None:
        """Write the weights there, (rows, longest)."""
        if weights.shape != self._weights.shape or weights.dtype is not torch.float32 or not weights.is_contiguous():
            raise ValueError(f"wanted is float32 of {tuple(self._weights.shape)}, not {streaming.describe(weights)}")
        self._weights, self._looks.weights = weights, weights.data_ptr()


def _run(calls: Any, count: int) -> None:
    if not needed().unrolled_run(calls, count):
        raise IndexError("an index is out of its table")
