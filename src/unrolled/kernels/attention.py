"""A decoder that attends, by the compiled kernels: a GRU or an LSTM with additive attention, forwards and back.

As in `recurrence.py`, everything that the compiled code takes on trust is looked at here, and the tensors that it
writes are made here.
"""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import torch
from torch import Tensor

from unrolled.kernels import matrix, recurrence
from unrolled.kernels.attention_types import Attention
from unrolled.kernels.library import Layer, load, needed
from unrolled.kernels.recurrence import KINDS, Kind, Weights

KNOWN = ("lstm", "gru")
"""Of `recurrence.KINDS`, those that may attend."""


class Scorer(NamedTuple):
    """The weights of additive scores: v . tanh(W_k m + W_q h + b).

    key: (units, features); query: (units, hidden); bias: (units,) or None; value: (units,).
    """

    key: Tensor
    query: Tensor
    bias: Tensor | None
    value: Tensor


class Memory(NamedTuple):
    """What is attended to, the rows' places one after the other, without padding.

    places: (places, features); first: (batch,), long, where each row begins; lengths: (batch,), long, how many places
    it has, 1 or more; longest: of these lengths, or more: the columns of the attention weights.
    """

    places: Tensor
    first: Tensor
    lengths: Tensor
    longest: int


class Batch(NamedTuple):
    """A packed batch. x: (elements, input); sizes, starts: (time,), rows alive at each time and its first element."""

    x: Tensor
    sizes: Tensor
    starts: Tensor


class Made(NamedTuple):
    """What the pass forwards gives. Its gradient needs all but `final`.

    outputs: (elements, hidden); contexts: (elements, features); weights: (elements, longest), zeros beyond a row's
    length; final: the state of each row after its last element; gates: (elements, width * hidden), the gates' values;
    cells: (elements, hidden) or None; queries: (elements, units); keys: (places, units).
    """

    outputs: Tensor
    contexts: Tensor
    weights: Tensor
    final: tuple[Tensor, ...]
    gates: Tensor
    cells: Tensor | None
    queries: Tensor
    keys: Tensor


class Came(NamedTuple):
    """The gradients of what came out, each of its shape; `final`: of each part of the last state."""

    outputs: Tensor
    contexts: Tensor
    weights: Tensor
    final: tuple[Tensor, ...]


class Gradients(NamedTuple):
    """Of what went in; `x` and `memory` are None where they were not asked for."""

    x: Tensor | None
    memory: Tensor | None
    scorer: Scorer
    weights: Weights
    state: tuple[Tensor, ...]


def supports(kind: str, x: Tensor, places: Tensor, scorer: Scorer, w: Weights) -> bool:
    """Whether the kernels can run these: they are there, all is float32 on the CPU, and the shapes fit each other."""
    plain = all(t is None or (t.dtype is torch.float32 and t.is_cpu) for t in (x, places, *scorer, *w))
    return plain and kind in KNOWN and x.dim() == 2 and _fit(kind, x, places, scorer, w) and load() is not None


def _fit(kind: str, x: Tensor, places: Tensor, scorer: Scorer, w: Weights) -> bool:
    hidden, (units, features), rows = w.hh.shape[-1], scorer.key.shape, KINDS[kind].blocks * w.hh.shape[-1]
    return (
        places.shape[1:] == (features,)
        and scorer.query.shape == (units, hidden)
        and scorer.value.shape == (units,)
        and (scorer.bias is None or scorer.bias.shape == (units,))
        and w.ih.shape == (rows, x.shape[1] + features)
        and w.hh.shape == (rows, hidden)
        and all(b is None or b.shape == (rows,) for b in (w.bias_ih, w.bias_hh))
    )


def forward(
    kind: str,
    batch: Batch,
    memory: Memory,
    scorer: Scorer,
    w: Weights,
    state: tuple[Tensor, ...],
    keep: bool,
    half: bool = False,
) -> Made:
    """Run a cell that reads, beside each element, the context that the state before it attends to.

    Args:
        kind: of `KNOWN`.
        batch: the elements. memory: what is attended to. Rows of both, and of the state, in packed order.
        scorer, w: the weights; `w.ih` reads an element and, behind it, a context.
        state: (h0,) or (h0, c0), each (batch, hidden).
        keep: whether gradients will be asked for.
        half: whether products are of bfloat16.

    Raises `ValueError` where something does not fit.
    """
    batch, memory = _looked_at(kind, batch, memory, scorer, w)
    library, k, hidden, x = needed(), KINDS[kind], w.hh.shape[1], batch.x
    threads = _threads(x, w)
    batch_size = int(batch.sizes[0])
    h0 = recurrence._state(state[0], batch_size, hidden)
    c = recurrence._state(state[1], batch_size, hidden).clone() if k.memory else None
    h = torch.empty_like(h0)
    made = Made(
        outputs=x.new_empty(len(x), hidden),
        contexts=x.new_empty(len(x), memory.places.shape[1]),
        weights=x.new_empty(len(x), memory.longest),
        final=(h,) if c is None else (h, c),
        gates=x.new_empty(len(x), k.width * hidden),
        cells=x.new_empty(len(x), hidden) if keep and k.memory else None,
        queries=x.new_empty(len(x), len(scorer.key)),
        keys=x.new_empty(len(memory.places), len(scorer.key)),
    )
    key = matrix.panels(scorer.key, half, transposed=True, threads=threads)
    matrix.multiply(half, memory.places, key, made.keys, threads)
    layer, attention = _structures(k, batch, memory, made, h0)
    alive = _fill(layer, kind, batch, w, half, backwards=False)
    layer.keep, layer.c, layer.last = keep, recurrence._pointer(c), h.data_ptr()
    library.unrolled_before(k.code, half, ctypes.byref(layer), 0, threads)
    bias, value = None if scorer.bias is None else scorer.bias.contiguous(), scorer.value.contiguous()
    panels = _panels(k, attention, scorer, w, half, transposed=True, threads=threads)
    attention.bias, attention.value = recurrence._pointer(bias), value.data_ptr()
    library.unrolled_attend(k.code, half, ctypes.byref(layer), ctypes.byref(attention), threads)
    library.unrolled_last(ctypes.byref(layer))
    del panels, alive  # until here the kernels had pointers into them
    return made


def backward(
    kind: str,
    batch: Batch,
    memory: Memory,
    scorer: Scorer,
    w: Weights,
    state: tuple[Tensor, ...],
    made: Made,
    came: Came,
    half: bool = False,
    need_x: bool = True,
    need_memory: bool = True,
) -> Gradients:
    """The gradients of `forward`. Arguments as there; made: what it gave; came: the gradients of that."""
    batch, memory = _looked_at(kind, batch, memory, scorer, w)
    threads = _threads(batch.x, w)
    layer, d, alive = _run_back(kind, batch, memory, scorer, w, state, made, came, half, threads)
    key = torch.empty_like(scorer.key, memory_format=torch.contiguous_format)
    matrix.outer(half, d.keys, memory.places, key, threads)
    if need_memory:
        back = matrix.panels(scorer.key, half, transposed=False, threads=threads)
        matrix.multiply(half, d.keys, back, d.memory, threads, add=True)
    query = torch.empty_like(scorer.query, memory_format=torch.contiguous_format)
    bias = None if scorer.bias is None else scorer.bias.new_empty(scorer.bias.shape)
    matrix.outer(half, d.queries, _before(batch, made.outputs, alive[0]), query, threads, bias)
    dx, weights = _weight_gradients(kind, layer, batch, made.contexts, w, d.gates, half, threads, need_x)
    del alive  # until here the kernels had pointers into them
    return Gradients(dx, d.memory if need_memory else None, Scorer(key, query, bias, d.value), weights, d.state)


def _before(batch: Batch, outputs: Tensor, h0: Tensor) -> Tensor:
    """The hidden state before each element, (elements, hidden)."""
    sizes = batch.sizes.tolist()
    pieces = outputs.split(sizes)
    return torch.cat([h0[: sizes[0]], *(piece[:after] for piece, after in zip(pieces, sizes[1:], strict=False))])


class _Inner(NamedTuple):
    """What the pass back writes: the gradients of all that is inside the loop, and of the initial state."""

    outputs: Tensor
    contexts: Tensor
    gates: Tensor
    queries: Tensor
    keys: Tensor
    memory: Tensor
    value: Tensor
    state: tuple[Tensor, ...]


def _run_back(
    kind: str,
    batch: Batch,
    memory: Memory,
    scorer: Scorer,
    w: Weights,
    state: tuple[Tensor, ...],
    made: Made,
    came: Came,
    half: bool,
    threads: int,
) -> tuple[Layer, _Inner, list[Any]]:
    """The loop. The layer that comes back has pointers into what comes with it, of which the first is h0."""
    k, hidden, rows = KINDS[kind], w.hh.shape[1], int(batch.sizes[0])
    h0, *rest = (recurrence._state(t, rows, hidden) for t in state)
    d = _Inner(
        outputs=_like(came.outputs, made.outputs).clone(),  # the loop adds to it, and to the next
        contexts=_like(came.contexts, made.contexts).clone(),
        gates=torch.empty_like(made.gates),
        queries=torch.empty_like(made.queries),
        keys=torch.empty_like(made.keys),
        memory=torch.empty_like(memory.places),
        value=scorer.value.new_empty(scorer.value.shape),
        state=tuple(recurrence._state(t, rows, hidden).clone() for t in came.final),
    )
    dweights, value = _like(came.weights, made.weights), scorer.value.contiguous()
    layer, attention = _structures(k, batch, memory, made, h0)
    alive, layer.dgates = _fill(layer, kind, batch, w, half, backwards=True), d.gates.data_ptr()
    layer.dh, layer.dh_stride, layer.dh_carry = d.outputs.data_ptr(), d.outputs.stride(0), d.state[0].data_ptr()
    if k.memory:
        layer.c0, layer.dc_carry = rest[0].data_ptr(), d.state[1].data_ptr()
    library = needed()
    layer.dx = d.gates.data_ptr()  # that it is wanted; where it goes is said when it is made
    library.unrolled_before(k.code, half, ctypes.byref(layer), 1, threads)
    panels = _panels(k, attention, scorer, w, half, transposed=False, threads=threads)
    attention.value, attention.dweights, attention.dh = value.data_ptr(), dweights.data_ptr(), d.outputs.data_ptr()
    attention.dcontexts, attention.dqueries = d.contexts.data_ptr(), d.queries.data_ptr()
    attention.dkeys, attention.dmemory, attention.dvalue = (t.data_ptr() for t in (d.keys, d.memory, d.value))
    library.unrolled_attend_back(k.code, half, ctypes.byref(layer), ctypes.byref(attention), threads)
    return layer, d, [h0, *rest, alive, *panels, value, dweights]


def _weight_gradients(
    kind: str,
    layer: Layer,
    batch: Batch,
    contexts: Tensor,
    w: Weights,
    dgates: Tensor,
    half: bool,
    threads: int,
    need_x: bool,
) -> tuple[Tensor | None, Weights]:
    """The gradient of the input, and of the cell's weights."""
    k, x, hidden = KINDS[kind], batch.x, w.hh.shape[1]
    ih, hh, sums = w.ih.new_empty(w.ih.shape), w.hh.new_empty(w.hh.shape), w.hh.new_empty(k.width * hidden)
    dx = torch.empty_like(x, memory_format=torch.contiguous_format) if need_x else None
    layer.dx, layer.dx_stride, layer.dih, layer.dih_stride = (
        recurrence._pointer(dx),
        x.shape[1],
        ih.data_ptr(),
        len(ih[0]),
    )
    layer.dhh, layer.dbias = hh.data_ptr(), sums.data_ptr()
    needed().unrolled_after(k.code, half, ctypes.byref(layer), threads)
    for first, count, at in k.inputs:
        part = dgates[:, at * hidden : (at + count) * hidden]
        matrix.outer(half, part, contexts, ih[first * hidden : (first + count) * hidden, x.shape[1] :], threads)
    given = Weights(ih, hh, *(None if b is None else sums for b in (w.bias_ih, w.bias_hh)))
    return dx, recurrence._with_biases(kind, given, sums, hidden)


def _fill(layer: Layer, kind: str, batch: Batch, w: Weights, half: bool, *, backwards: bool) -> list[Any]:
    """What a layer needs to read the elements alone, without the contexts behind them. It must outlive the loop."""
    x, hidden = batch.x, w.hh.shape[1]
    given = recurrence._given(kind, w._replace(ih=w.ih[:, : x.shape[1]]))
    room = recurrence._room(KINDS[kind].code, half, x.shape[1], hidden, hidden, backwards=backwards)
    recurrence._fill(layer, given, room, hidden)
    recurrence._where(layer, x, batch.sizes, batch.starts, int(batch.sizes[0]), 0)
    return [given, room]


def _structures(k: Kind, batch: Batch, memory: Memory, made: Made, h0: Tensor) -> tuple[Layer, Attention]:
    """With all that both passes have in common."""
    layer, attention, hidden = Layer(), Attention(), h0.shape[1]
    layer.h0 = h0.data_ptr()
    layer.gates, layer.gates_stride = made.gates.data_ptr(), made.gates.stride(0)
    layer.cells = recurrence._pointer(made.cells)
    layer.h, layer.h_stride = made.outputs.data_ptr(), made.outputs.stride(0)
    attention.units, attention.features, attention.source = made.keys.shape[1], memory.places.shape[1], memory.longest
    attention.first, attention.lengths = memory.first.data_ptr(), memory.lengths.data_ptr()
    attention.memory, attention.keys = memory.places.data_ptr(), made.keys.data_ptr()
    attention.queries, attention.weights = made.queries.data_ptr(), made.weights.data_ptr()
    attention.contexts, attention.blocks = made.contexts.data_ptr(), len(k.inputs)
    for place, (_, count, to) in enumerate(k.inputs):
        attention.at[place], attention.columns[place] = to * hidden, count * hidden
    return layer, attention


def _panels(
    k: Kind, attention: Attention, scorer: Scorer, w: Weights, half: bool, *, transposed: bool, threads: int
) -> list[Tensor]:
    """Lay out what the attention multiplies with, in the pass forwards `transposed`; keep it as long as that runs."""
    hidden, features = w.hh.shape[1], scorer.key.shape[1]
    blocks = [w.ih[first * hidden : (first + n) * hidden, -features:] for first, n, _ in k.inputs]
    panels = [matrix.panels(t, half, transposed=transposed, threads=threads) for t in (scorer.query, *blocks)]
    attention.query, *context = (t.data_ptr() for t in panels)
    for place, pointer in enumerate(context):
        attention.context[place] = pointer
    return panels


def _threads(x: Tensor, w: Weights) -> int:
    return recurrence._threads(len(x) * (w.hh.numel() + w.ih.numel()))


def _like(t: Tensor, wanted: Tensor) -> Tensor:
    if t.shape != wanted.shape or t.dtype is not torch.float32 or not t.is_cpu:
        found = f"{tuple(t.shape)} in {t.dtype} on {t.device}"
        raise ValueError(f"a gradient must be {tuple(wanted.shape)} in float32 on the CPU, not {found}")
    return t.contiguous()


def _looked_at(kind: str, batch: Batch, memory: Memory, scorer: Scorer, w: Weights) -> tuple[Batch, Memory]:
    """The same, with rows of neighbouring floats."""
    if not supports(kind, batch.x, memory.places, scorer, w):
        shapes = [None if t is None else tuple(t.shape) for t in (batch.x, memory.places, *scorer, *w)]
        raise ValueError(f"these do not make a {kind} that attends, in float32 on the CPU: {shapes}")
    return _checked(batch, memory)


def _checked(batch: Batch, memory: Memory, *, gaps: bool = False) -> tuple[Batch, Memory]:
    """gaps: whether there may be places between those of the rows."""
    recurrence._look_at(*batch)
    places, first, lengths, longest = memory
    rows = int(batch.sizes[0])
    for name, t in (("first", first), ("lengths", lengths)):
        if t.dtype is not torch.int64 or not t.is_cpu or t.shape != (rows,) or not t.is_contiguous():
            raise ValueError(f"{name} must be {rows} contiguous long numbers on the CPU")
    begin, count = first.numpy(), lengths.numpy()
    if not (count.min() >= 1 and count.max() <= longest):
        raise ValueError(f"lengths must be from 1 to {longest}, not {count.min()} to {count.max()}")
    ends = begin + count
    if gaps:
        if begin[0] < 0 or (begin[1:] < ends[:-1]).any() or ends[-1] > len(places):
            raise ValueError(f"each row must begin behind the one before, and end within the {len(places)} places")
    elif begin[0] != 0 or (begin[1:] != ends[:-1]).any() or ends[-1] != len(places):
        raise ValueError(
            f"first must be the sums of the lengths before, and all lengths add up to {len(places)} places"
        )
    return batch._replace(x=matrix.rows(batch.x)), memory._replace(places=places.contiguous())
