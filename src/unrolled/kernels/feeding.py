"""A decoder that reads what it has just shown and attends behind its cell, by the compiled kernels, forwards and back.

As in `attention.py`, everything that the compiled code takes on trust is looked at here, and the tensors that it writes
are made here.
"""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import torch
from torch import Tensor

from unrolled.kernels import attention, matrix, recurrence
from unrolled.kernels.attention import Batch, Memory
from unrolled.kernels.attention_types import Attention, Feeding
from unrolled.kernels.library import Layer, load, needed
from unrolled.kernels.recurrence import KINDS, Weights


class Reads(NamedTuple):
    """How it attends, and what it shows: r = tanh(share of the words + V h + W c).

    query: (units, hidden), bias: (units,) or None, value: (units,): of additive scores; None, all three, where a score
    is the inner product of key and state, which are then of one size. of_state: V, (shown, hidden); of_context: W,
    (shown, features).
    """

    query: Tensor | None
    bias: Tensor | None
    value: Tensor | None
    of_state: Tensor
    of_context: Tensor


class Given(NamedTuple):
    """What goes in, but for weights; rows in packed order.

    batch: the words. places: of the memory. keys: (places, units). said: (elements, shown), the words' shares of what
    is shown. state: (h0,) or (h0, c0), each (batch, hidden). first: (batch, shown), what the first step reads.
    """

    batch: Batch
    places: Memory
    keys: Tensor
    said: Tensor
    state: tuple[Tensor, ...]
    first: Tensor


class Made(NamedTuple):
    """What the pass forwards gives; its gradient needs all of it.

    outputs: (elements, hidden); contexts: (elements, features); weights: (elements, longest), zeros beyond a row's
    length; shows: (elements, shown); gates: (elements, width * hidden), the gates' values; cells: (elements, hidden) or
    None; queries: (elements, units), which are the outputs where there are no weights for them.
    """

    outputs: Tensor
    contexts: Tensor
    weights: Tensor
    shows: Tensor
    gates: Tensor
    cells: Tensor | None
    queries: Tensor


class Came(NamedTuple):
    """The gradients of what came out, each of its shape."""

    outputs: Tensor
    contexts: Tensor
    weights: Tensor
    shows: Tensor


class Gradients(NamedTuple):
    """Of what went in; `x` is None where it was not asked for."""

    x: Tensor | None
    places: Tensor
    keys: Tensor
    said: Tensor
    state: tuple[Tensor, ...]
    first: Tensor
    reads: Reads
    weights: Weights


def supports(kind: str, x: Tensor, places: Tensor, keys: Tensor, reads: Reads, w: Weights) -> bool:
    """Whether the kernels can run these: they are there, all is float32 on the CPU, and the shapes fit each other.

    Args:
        kind: the kernels' name of the cell. w: its weights; `w.ih` reads a word and, behind it, what was shown.
        x: (elements, input). places: (…, features), keys: (…, units): of the last axis alone. reads: the weights.
    """
    given = [t for t in (x, places, keys, *reads, *w) if t is not None]
    plain = all(t.dtype is torch.float32 and t.is_cpu for t in given)
    return plain and kind in attention.KNOWN and x.dim() == 2 and _fit(kind, x, places, keys, reads, w) and bool(load())


def _fit(kind: str, x: Tensor, places: Tensor, keys: Tensor, reads: Reads, w: Weights) -> bool:
    hidden, units, features = w.hh.shape[-1], keys.shape[-1], places.shape[-1]
    rows, shown = KINDS[kind].blocks * hidden, len(reads.of_state)
    if reads.query is None or reads.value is None:
        scores = reads.query is None and reads.value is None and reads.bias is None and units == hidden
    else:
        scores = reads.query.shape == (units, hidden) and reads.value.shape == (units,)
        scores = scores and (reads.bias is None or reads.bias.shape == (units,))
    return (
        scores
        and reads.of_state.shape == (shown, hidden)
        and reads.of_context.shape == (shown, features)
        and w.ih.shape == (rows, x.shape[1] + shown)
        and w.hh.shape == (rows, hidden)
        and all(b is None or b.shape == (rows,) for b in (w.bias_ih, w.bias_hh))
    )


def forward(kind: str, given: Given, reads: Reads, w: Weights, keep: bool, half: bool = False) -> Made:
    """Run over all steps.

    Args:
        kind: of `attention.KNOWN`.
        given: what goes in.
        reads, w: the weights.
        keep: whether gradients will be asked for.
        half: whether products are of bfloat16.

    Raises `ValueError` where something does not fit.
    """
    given = _looked_at(kind, given, reads, w)
    library, k, x, places = needed(), KINDS[kind], given.batch.x, given.places
    hidden, threads = w.hh.shape[1], _threads(x, w)
    c = given.state[1].clone() if k.memory else None
    outputs = x.new_empty(len(x), hidden)
    made = Made(
        outputs=outputs,
        contexts=x.new_empty(len(x), places.places.shape[1]),
        weights=x.new_empty(len(x), places.longest),
        shows=given.said.clone(memory_format=torch.contiguous_format),
        gates=x.new_empty(len(x), k.width * hidden),
        cells=x.new_empty(len(x), hidden) if keep and k.memory else None,
        queries=outputs if reads.query is None else x.new_empty(len(x), given.keys.shape[1]),
    )
    layer, looks, feeding = _structures(kind, given, made, reads)
    alive = attention._fill(layer, kind, given.batch, w, half, backwards=False)
    layer.keep, layer.c = keep, recurrence._pointer(c)
    library.unrolled_before(k.code, half, ctypes.byref(layer), 0, threads)
    panels = _panels(kind, looks, feeding, reads, w, half, transposed=True, threads=threads)
    library.unrolled_feed(k.code, half, ctypes.byref(layer), ctypes.byref(feeding), threads)
    del panels, alive  # until here the kernels had pointers into them
    return made


def backward(
    kind: str, given: Given, reads: Reads, w: Weights, made: Made, came: Came, half: bool = False, need_x: bool = True
) -> Gradients:
    """The gradients of `forward`. Arguments as there; made: what it gave; came: the gradients of that."""
    given = _looked_at(kind, given, reads, w)
    k, x, hidden, threads = KINDS[kind], given.batch.x, w.hh.shape[1], _threads(given.batch.x, w)
    # The loop adds to the first three.
    dh, dcontexts, dshows = (
        attention._like(came_, made_).clone()
        for came_, made_ in ((came.outputs, made.outputs), (came.contexts, made.contexts), (came.shows, made.shows))
    )
    dweights = attention._like(came.weights, made.weights)
    dgates, dqueries, dkeys = (torch.empty_like(t) for t in (made.gates, made.queries, given.keys))
    dplaces, dvalue = (
        torch.empty_like(given.places.places),
        None if reads.value is None else x.new_empty(reads.value.shape),
    )
    dstate, dfirst = tuple(torch.zeros_like(t) for t in given.state), torch.empty_like(given.first)
    layer, looks, feeding = _structures(kind, given, made, reads)
    alive, layer.dgates = attention._fill(layer, kind, given.batch, w, half, backwards=True), dgates.data_ptr()
    layer.dh, layer.dh_stride, layer.dh_carry = dh.data_ptr(), hidden, dstate[0].data_ptr()
    if k.memory:
        layer.c0, layer.dc_carry = given.state[1].data_ptr(), dstate[1].data_ptr()
    layer.dx = dgates.data_ptr()  # that it is wanted; where it goes is said when it is made
    library = needed()
    library.unrolled_before(k.code, half, ctypes.byref(layer), 1, threads)
    panels = _panels(kind, looks, feeding, reads, w, half, transposed=False, threads=threads)
    looks.dweights, looks.dh, looks.dcontexts = (t.data_ptr() for t in (dweights, dh, dcontexts))
    looks.dqueries, looks.dkeys, looks.dmemory = (t.data_ptr() for t in (dqueries, dkeys, dplaces))
    looks.dvalue, feeding.dshows, feeding.dfirst = recurrence._pointer(dvalue), dshows.data_ptr(), dfirst.data_ptr()
    library.unrolled_feed_back(k.code, half, ctypes.byref(layer), ctypes.byref(feeding), threads)
    fed = attention._before(given.batch, made.shows, given.first)
    dx, weights = attention._weight_gradients(kind, layer, given.batch, fed, w, dgates, half, threads, need_x)
    found = _read_gradients(reads, made, dqueries, dvalue, dshows, half, threads)
    del panels, alive  # until here the kernels had pointers into them
    return Gradients(dx, dplaces, dkeys, dshows, dstate, dfirst, found, weights)


def _read_gradients(
    reads: Reads, made: Made, dqueries: Tensor, dvalue: Tensor | None, dshows: Tensor, half: bool, threads: int
) -> Reads:
    query = bias = None
    if reads.query is not None:
        query = torch.empty_like(reads.query, memory_format=torch.contiguous_format)
        bias = None if reads.bias is None else torch.empty_like(reads.bias)
        matrix.outer(half, dqueries, made.outputs, query, threads, bias)
    both = [torch.empty_like(t, memory_format=torch.contiguous_format) for t in (reads.of_state, reads.of_context)]
    for found, read in zip(both, (made.outputs, made.contexts), strict=True):
        matrix.outer(half, dshows, read, found, threads)
    return Reads(query, bias, dvalue, *both)


def _structures(kind: str, given: Given, made: Made, reads: Reads) -> tuple[Layer, Attention, Feeding]:
    """With all that both passes have in common."""
    held = attention.Made(
        made.outputs, made.contexts, made.weights, (), made.gates, made.cells, made.queries, given.keys
    )
    layer, looks = attention._structures(KINDS[kind], given.batch, given.places, held, given.state[0])
    looks.bias, looks.value = recurrence._pointer(reads.bias), recurrence._pointer(reads.value)
    feeding = Feeding(
        attention=ctypes.pointer(looks), shown=made.shows.shape[1], first=given.first.data_ptr(),
        shows=made.shows.data_ptr(),
    )  # fmt: skip
    return layer, looks, feeding


def _panels(
    kind: str,
    looks: Attention,
    feeding: Feeding,
    reads: Reads,
    w: Weights,
    half: bool,
    *,
    transposed: bool,
    threads: int,
) -> list[Tensor]:
    """Lay out what the loop multiplies with, in the pass forwards `transposed`; keep it as long as that runs."""
    hidden, shown = w.hh.shape[1], feeding.shown
    blocks = [w.ih[first * hidden : (first + n) * hidden, -shown:] for first, n, _ in KINDS[kind].inputs]
    given = [reads.of_state, reads.of_context, *blocks, *([] if reads.query is None else [reads.query])]
    panels = [matrix.panels(t, half, transposed=transposed, threads=threads) for t in given]
    feeding.of_state, feeding.of_context = panels[0].data_ptr(), panels[1].data_ptr()
    for place in range(len(blocks)):
        looks.context[place] = panels[2 + place].data_ptr()
    looks.query = None if reads.query is None else panels[-1].data_ptr()
    return panels


def _threads(x: Tensor, w: Weights) -> int:
    return recurrence._threads(len(x) * (w.hh.numel() + w.ih.numel()))


def _looked_at(kind: str, given: Given, reads: Reads, w: Weights) -> Given:
    """The same, with rows of neighbouring floats."""
    batch, places, keys, said, state, first = given
    if not supports(kind, batch.x, places.places, keys, reads, w):
        found: list[Any] = [batch.x, places.places, keys, *reads, *w]
        shapes = [None if t is None else tuple(t.shape) for t in found]
        raise ValueError(f"these do not make a {kind} that is fed what it shows, in float32 on the CPU: {shapes}")
    batch, places = attention._checked(batch, places)
    rows, shown = int(batch.sizes[0]), len(reads.of_state)
    for name, t, shape in (
        ("keys", keys, (len(places.places), keys.shape[-1])),
        ("what the words give", said, (len(batch.x), shown)),
    ):
        if t.shape != shape or t.dtype is not torch.float32 or not t.is_cpu:
            raise ValueError(f"{name} must be {shape} in float32 on the CPU, not {tuple(t.shape)} in {t.dtype}")
    hidden = w.hh.shape[1]
    state = tuple(recurrence._state(t, rows, hidden) for t in state)
    return Given(batch, places, keys.contiguous(), said, state, recurrence._state(first, rows, shown))
