"""What each step of a search does with a decoder's weights, made ready once.

A step of decoding multiplies a few rows, which takes the kernels microseconds: finding out at every step which kernels
run, whether a weight has changed since it was laid out, and whether everything fits, takes longer than that. Within a
search none of it changes. The results are those of `EncoderDecoder.step`, bit for bit: the same kernels give them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from unrolled.cells.base import Cell, State
from unrolled.kernels import looking, recurrence, streaming
from unrolled.layers.attend import Attention, Looked, Source
from unrolled.layers.readout import Readout
from unrolled.layers.softmax import Softmax
from unrolled.unroll import fused, laid_out
from unrolled.unroll.product import by_panels, linear

Map = Callable[[Tensor], Tensor]
"""(rows, input) -> (rows, output)."""
Tick = Callable[[Tensor, State], tuple[Tensor, State]]
"""(rows, input) and a state -> the output and the next state."""
Look = Callable[[Tensor, Source], Looked]
"""(rows, query) and a source of these rows -> contexts and weights."""


class Prepared(NamedTuple):
    """ticks: of each layer, lowest first; look: None where attention is to do it itself; readout: its linear map, None
    where it has none; logits."""

    ticks: tuple[Tick, ...]
    look: Look | None
    readout: Map | None
    logits: Map


def prepare(cells: Sequence[Cell], attention: Attention | None, readout: Readout, softmax: Softmax) -> Prepared | None:
    """For steps without gradients, in the precision that is asked for now; None where the kernels do not run them.

    It is to be used as long as neither the weights nor the precision change.
    """
    weights = [p for part in (*cells, readout, softmax) for p in part.parameters()]
    plain = all(type(p) in fused.PLAIN and p.dtype is torch.float32 and p.is_cpu for p in weights)
    if not plain or torch.is_grad_enabled() or fused.is_mixed() or fused.is_transformed():
        return None
    half, ticks = fused.is_half(), [_tick(cell) for cell in cells]
    if any(tick is None for tick in ticks):
        return None
    return Prepared(
        tuple(tick for tick in ticks if tick is not None),
        None if attention is None else _look(attention, half),
        None if readout.map is None else _map(readout.map.weight, readout.map.bias, half),
        _map(softmax.weight, softmax.bias, half),
    )


def _map(weight: Tensor, bias: Tensor | None, half: bool) -> Map:
    if not isinstance(weight, torch.nn.Parameter):  # a part of one: it is not laid out for a step either
        return partial(linear, weight=weight, bias=bias)
    inputs = weight.shape[1]
    panels = laid_out.panels(weight, half, torch.get_num_threads())
    bias = None if bias is None else bias.detach().contiguous()

    def product(x: Tensor) -> Tensor:
        if x.shape[1] != inputs:
            raise ValueError(f"{inputs} features are to be multiplied, not {x.shape[1]}")
        return by_panels(x, weight, panels, bias, half)

    return product


def _tick(cell: Cell) -> Tick | None:
    if type(cell) not in fused.KINDS:
        return None
    kind, weights = fused.kind_of(cell), fused._weights(cell)
    if not fused.knows(kind, weights.ih.shape[1], weights):
        return None
    packed = laid_out.packed(kind, weights, fused.is_half())
    is_pair = recurrence.KINDS[kind].memory

    def tick(x: Tensor, state: State) -> tuple[Tensor, State]:
        after = streaming.tick(kind, packed, x, state if is_pair else (state,))
        return after[0], after if is_pair else after[0]

    return tick


def _look(attention: Attention, half: bool) -> Look | None:
    """Of additive scores. A source is another only where rows leave the search: so what was last seen is kept."""
    asked = attention.asked()
    if asked is None or asked.query is None or asked.value is None:
        return None
    query, value = _map(asked.query, asked.bias, half), asked.value.detach().contiguous()
    seen: Source | None = None
    looker: looking.Looker | None = None

    def look(queries: Tensor, source: Source) -> Looked:
        nonlocal seen, looker
        if looker is None or seen is None or seen.mask is not source.mask:
            assert isinstance(source.keys, Tensor)
            seen, looker = source, looking.Looker(source.memory, source.keys, value, source.mask)
        return Looked(*looker(query(queries)))

    return look
