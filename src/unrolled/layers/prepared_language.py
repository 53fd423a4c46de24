"""The step of a language model, made ready once: for streams and for what is written element by element.

As in `prepared`, whose searches it serves: an element takes the kernels microseconds, and asking at each which kernels
run, and whether a weight has changed, takes many times that. So all calls of a step are written down beforehand
(`kernels/chain.py`). The numbers are those of `LanguageNetwork.step`, bit for bit: the same kernels give them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from unrolled.kernels import recurrence
from unrolled.kernels.chain import Call, Chain
from unrolled.kernels.recurrence import Packed
from unrolled.kernels.streaming import checked, describe
from unrolled.layers.language import LanguageNetwork
from unrolled.layers.recurrent import Recurrent
from unrolled.layers.softmax import Softmax
from unrolled.state import State
from unrolled.unroll import fused, laid_out

Step = Callable[[Tensor, State], tuple[Tensor, State]]
"""As `LanguageNetwork.step`."""


def prepare(network: LanguageNetwork, rows: int = 1) -> Step:
    """The network's step for so many rows without gradients, in the precision that is asked for now; the network's own
    where the kernels do not run it.

    It is to be used as long as neither the weights nor the precision change, by one thread.
    """
    if torch.is_grad_enabled() or network.training or fused.is_mixed() or fused.is_transformed():
        return network.step
    table, softmax = network.embedding.weight, network.softmax
    if not isinstance(softmax, Softmax) or not isinstance(network.projection, nn.Identity):
        return network.step
    if not all(type(p) in fused.PLAIN and p.dtype is torch.float32 and p.is_cpu for p in (table, softmax.weight)):
        return network.step
    half, packed = fused.is_half(), []
    for layer in network.stack.layers:
        cell: Any = layer.cell.for_unroll() if type(layer) is Recurrent else None
        if type(cell) not in fused.KINDS:
            return network.step
        kind, own = fused.kind_of(cell), fused._weights(cell)
        if not fused.knows(kind, own.ih.shape[1], own):
            return network.step
        packed.append(laid_out.packed(kind, own, half))
    return _Prepared(network, tuple(packed), half, rows)


class _Layer(NamedTuple):
    """What a step of one layer reads and leaves: pieces of its state, whose places are set at each."""

    ins: tuple[Call, ...]
    outs: tuple[Call, ...]
    sizes: tuple[int, ...]


class _Prepared:
    """A network's steps with weights that are laid out.

    What a step makes on the way stands in the same places each time. The states are the caller's: they are copied there
    at first, and from there at last.

    Args:
        network: whose.
        packed: the weights of its layers.
        half: whether products are of bfloat16.
        rows: that are read side by side.
    """

    def __init__(self, network: LanguageNetwork, packed: tuple[Packed, ...], half: bool, rows: int) -> None:
        self._chain = chain = Chain(rows)  # holds all that the compiled code reads
        assert isinstance(network.softmax, Softmax)
        table, weight, bias = network.embedding.weight.detach(), network.softmax.weight, network.softmax.bias
        self._rows, self._words = rows, len(weight)
        x = torch.empty(rows, table.shape[1])
        self._taken = chain.take(table, x)
        self._layers = []
        for each in packed:
            has_memory = recurrence.KINDS[each.kind].memory
            before, x_next = torch.empty(rows, each.output), torch.empty(rows, each.output)
            c = torch.empty(rows, each.hidden) if has_memory else None
            ins = tuple(chain.copy(None, part) for part in (before, c) if part is not None)
            chain.tick(each, x, before, x_next, c)
            outs = tuple(chain.copy(part, None) for part in (x_next, c) if part is not None)
            for call in ins:
                call.source_stride = call.columns
            for call in outs:
                call.target_stride = call.columns
            self._layers.append(_Layer(ins, outs, tuple(call.columns for call in outs)))
            x = x_next
        panels = laid_out.panels(weight, half, torch.get_num_threads())
        logits = torch.empty(rows, self._words)
        self._logits = chain.multiply(x, panels, None if bias is None else bias.detach(), half, logits)
        self._runs = chain.ready()

    def __call__(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        rows = self._rows
        if ids.shape != (rows,) or ids.dtype is not torch.long or not ids.is_cpu or not ids.is_contiguous():
            raise ValueError(f"ids must be {rows} long numbers on the CPU, not {describe(ids)}")
        after, logits = [], torch.empty(rows, self._words)
        self._taken.index, self._logits.c = ids.data_ptr(), logits.data_ptr()
        held = []  # what stood with gaps is copied, and must be there until the run is over
        for layer, given in zip(self._layers, state, strict=True):
            is_pair = isinstance(given, tuple)
            made = [torch.empty(rows, size) for size in layer.sizes]
            for place, (part, size) in enumerate(zip(given if is_pair else (given,), layer.sizes, strict=True)):
                held.append(checked(part, rows, size))
                layer.ins[place].source, layer.outs[place].target = held[-1].data_ptr(), made[place].data_ptr()
            after.append(tuple(made) if is_pair else made[0])
        for run in self._runs:
            run()
        return logits, tuple(after)
