"""Our own kernels: the LSTM and its variants, the GRU in both conventions, the simple recurrent network.

Same signature and, up to rounding, same result as `scan`: outputs, state, every gradient. One call runs a layer over a
packed batch, in one direction or in both, without padding and without turning rows round; gates and cell update are
done while the product is still in registers (`kernels/csrc`). What is saved for the gradients is the gates' values and
the cell states; second derivatives go through the loop of `scan` or torch's kernels, whose graph torch records.

In inference the weights are laid out once and kept as long as they do not change: `laid_out`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from unrolled.cells.base import Cell, State
from unrolled.cells.elman import Elman
from unrolled.cells.gru import GRU
from unrolled.cells.gru_cho import GRUCho
from unrolled.cells.lstm import LSTM
from unrolled.cells.lstm_coupled import LSTMCoupled
from unrolled.cells.lstm_peephole import LSTMPeephole
from unrolled.cells.lstm_projected import LSTMProjected
from unrolled.errors import BadOption
from unrolled.kernels import recurrence, streaming
from unrolled.kernels.recurrence import Weights
from unrolled.unroll import laid_out, native, scan, second
from unrolled.unroll.laid_out import forget
from unrolled.unroll.packing import eager, layout, starts

__all__ = ["attempt", "forget", "is_half", "precision", "run", "runs", "supports", "tick", "unroll"]

KINDS: dict[type[Cell], str] = {
    LSTM: "lstm",
    LSTMPeephole: "lstm_peephole",
    LSTMCoupled: "lstm_coupled",
    LSTMProjected: "lstm_projected",
    GRU: "gru",
    GRUCho: "gru_cho",
    Elman: "rnn",
}
"""Exact classes: a wrapper or a subclass computes something else."""

PEEPHOLES = ("weight_ci", "weight_cf", "weight_co")

FEW = 16
"""Elements of a batch in training below which laying the weights out costs more than the kernels save."""

GIVEN = 6
"""Arguments of the graph's step before its tensors."""

PLAIN = (Tensor, torch.nn.Parameter)
"""Of other classes torch may follow more than is seen here."""

States = tuple[Tensor, ...]
"""(h,) or (h, c), each (batch, hidden)."""

Slow = Callable[[Tensor, list[Weights], list[States]], "tuple[Tensor, list[States]]"]
"""The same layer from the same tensors by operations that torch can derive twice."""


_half: ContextVar[bool] = ContextVar("half", default=False)


@contextmanager
def precision(name: str) -> Iterator[None]:
    """Within this, products are of numbers rounded to `bfloat16`, or, as always otherwise, of `float32`.

    Sums, states, gates and all that comes out are float32 in either case. `torch.autocast("cpu", torch.bfloat16)` asks
    for the same. Raises `BadOption` for any other name.
    """
    if name not in ("float32", "bfloat16"):
        raise BadOption(f"the precision is 'float32' or 'bfloat16', not {name!r}")
    before = _half.set(name == "bfloat16")
    try:
        yield
    finally:
        _half.reset(before)


def is_half() -> bool:
    """Whether products are to be of bfloat16."""
    return _half.get() or (torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") is torch.bfloat16)


def is_mixed() -> bool:
    """Whether torch chooses types itself."""
    return torch.is_autocast_enabled("cpu")


def supports(cell: Cell, x: PackedSequence) -> bool:
    """Whether there is a kernel for exactly this cell, these types and this way of calling."""
    return type(cell) in KINDS and runs(kind_of(cell), x.data, _weights(cell))


def runs(kind: str, x: Tensor, weights: Weights) -> bool:
    """Whether the kernels take these tensors, and it pays."""
    return x.dim() == 2 and pays(x) and knows(kind, x.shape[1], weights)


def pays(x: Tensor) -> bool:
    """Whether elements (…, input) are better run by the kernels, if these know the weights.

    They take plain tensors of float32 on the CPU, of which torch records no more than a graph of gradients.
    """
    if torch.is_grad_enabled() and prod(x.shape[:-1]) < FEW:
        return False
    return is_plain(x)


def is_plain(x: Tensor) -> bool:
    """Whether the kernels may take it: float32 on the CPU, of which torch records no more than a graph of gradients."""
    return x.dtype is torch.float32 and x.is_cpu and type(x) in PLAIN and not is_transformed()


def knows(kind: str, features: int, weights: Weights) -> bool:
    """Whether there is a kernel for these weights, reading so many features: plain tensors of float32 on the CPU."""
    return all(t is None or type(t) in PLAIN for t in weights) and recurrence.supports(kind, features, weights)


def kind_of(cell: Cell) -> str:
    """The kernels' name of a cell."""
    kind = KINDS[type(cell)]
    return f"rnn_{cell.nonlinearity}" if isinstance(cell, Elman) else kind


def unroll(cell: Cell, x: PackedSequence, state: State | None = None) -> tuple[PackedSequence, State]:
    """Run a cell that `supports` says yes to over a packed batch. Arguments and results as `scan.unroll`."""
    found = attempt([cell], x, [state])
    if found is None:
        raise BadOption(f"there is no kernel for {cell} and this input")
    outputs, (final,) = found
    return outputs, final


@eager
def attempt(
    cells: Sequence[Cell], x: PackedSequence, states: Sequence[State | None]
) -> tuple[PackedSequence, tuple[State, ...]] | None:
    """Run one cell from the first element on, and a second, where there is one, from the last back.

    Returns:
        The outputs side by side, data (elements, hidden of all), and the state of each cell; None where the kernels do
        not run these cells together.
    """
    if any(type(cell) not in KINDS for cell in cells):
        return None
    kind, weights = kind_of(cells[0]), [_weights(cell) for cell in cells]
    alike = all(kind_of(cell) == kind and cell.hidden_size == cells[0].hidden_size for cell in cells[1:])
    if not (alike and all(runs(kind, x.data, w) for w in weights)):
        return None
    batch = int(x.batch_sizes[0])
    given = [cell.initial_state(batch) if state is None else state for cell, state in zip(cells, states, strict=True)]
    is_pair = isinstance(given[0], tuple)
    whole: list[States] = [state if is_pair else (state,) for state in given]

    def slow(data: Tensor, weights: list[Weights], states: list[States]) -> tuple[Tensor, list[States]]:
        outputs, final = [], []
        for place, (cell, w, state) in enumerate(zip(cells, weights, states, strict=True)):
            order = layout(x.batch_sizes).reversal if place else slice(None)
            source = x._replace(data=data[order])
            read, after = scan.unroll(_with(cell, w), source, state if is_pair else state[0])
            outputs.append(read.data[order])
            final.append(after if is_pair else (after,))
        return torch.cat(outputs, dim=1), final

    data, final = run(kind, weights, x, whole, slow)
    return x._replace(data=data), tuple(state if is_pair else state[0] for state in final)


def run(
    kind: str, weights: Sequence[Weights], x: PackedSequence, states: Sequence[States], slow: Slow | None = None
) -> tuple[Tensor, list[States]]:
    """One layer, one or two directions, the second of which reads backwards.

    Args:
        kind: the kernels' name of the cell.
        weights: of each direction.
        x: data of shape (elements, input).
        states: of each direction, rows in packed order.
        slow: how to compute the same where second derivatives are asked for; None: by torch's kernel of that name.

    Returns:
        Outputs (elements, directions * output), and the state of each direction after its last element.
    """
    if slow is None:

        def slow(data: Tensor, weights: list[Weights], states: list[States]) -> tuple[Tensor, list[States]]:
            given = [[t for t in w if t is not None] for w in weights]
            return native.run_layer("lstm" if kind == "lstm_projected" else kind, given, x._replace(data=data), states)

    begin = starts(x.batch_sizes)
    half = is_half()
    tensors = [t for w, state in zip(weights, states, strict=True) for t in (*w, *state)]
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (x.data, *tensors)):
        outputs, *flat = _Fused.apply(slow, kind, half, x.batch_sizes, begin, len(weights), x.data, *tensors)
        each = len(states[0])
        return outputs, [tuple(flat[k : k + each]) for k in range(0, len(flat), each)]
    packed = [laid_out.packed(kind, w, half) for w in weights]
    outputs, final, _ = recurrence.forward(kind, x.data, x.batch_sizes, begin, packed, states, keep=False)
    return outputs, final


def tick(kind: str, weights: Weights, x: Tensor, state: States) -> States | None:
    """One step, where no gradients are wanted. x: (batch, input), state: of `batch` rows -> the state after it.

    None where the kernels do not take these.
    """
    if not pays(x) or is_mixed():
        return None
    half = _half.get()
    packed = laid_out.find(kind, weights, half)
    if packed is None:
        if not knows(kind, x.shape[1], weights):
            return None
        packed = laid_out.packed(kind, weights, half)
    if packed.input != x.shape[1] or not all(type(s) in PLAIN for s in state):
        return None
    return streaming.tick(kind, packed, x, state)


class _Fused(torch.autograd.Function):
    """A layer as one step of the graph. The tensors are, of each direction, its weights and its state."""

    @staticmethod
    def forward(
        ctx: Any,
        slow: Slow,
        kind: str,
        half: bool,
        sizes: Tensor,
        starts: Tensor,
        directions: int,
        x: Tensor,
        *tensors: Any,
    ) -> tuple[Tensor, ...]:
        weights, states = _parted(tensors, directions)
        outputs, final, kept = recurrence.forward(kind, x, sizes, starts, weights, states, keep=True, half=half)
        ctx.slow, ctx.kind, ctx.half, ctx.directions = slow, kind, half, directions
        ctx.save_for_backward(x, sizes, starts, outputs, *tensors, *(t for held in kept for t in held))
        return outputs, *(t for state in final for t in state)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, sizes, starts, outputs, *rest = ctx.saved_tensors
        each = len(recurrence.Kept._fields)
        tensors, held = rest[: -each * ctx.directions], rest[-each * ctx.directions :]
        kept = [recurrence.Kept(*held[k : k + each]) for k in range(0, len(held), each)]
        weights, states = _parted(tensors, ctx.directions)
        each = len(states[0])
        last = [tuple(gradients[k : k + each]) for k in range(0, len(gradients), each)]
        if torch.is_grad_enabled():

            def slow() -> list[Tensor]:
                outputs, final = ctx.slow(x, weights, states)
                return [outputs, *(t for state in final for t in state)]

            given = [x, *(t for w, state in zip(weights, states, strict=True) for t in (*w, *state))]
            wanted = ctx.needs_input_grad[GIVEN:]
            return *[None] * GIVEN, *second.gradients(slow, given, wanted, [gradient, *gradients])
        found_x, found = recurrence.backward(
            ctx.kind, x, sizes, starts, weights, states, outputs, kept, gradient, last,
            need_x=ctx.needs_input_grad[GIVEN], half=ctx.half,
        )  # fmt: skip
        flat = [t for g in found for t in (*g.weights, g.h0, *([] if g.c0 is None else [g.c0]))]
        wanted = ctx.needs_input_grad[GIVEN:]
        return *[None] * GIVEN, *(t if want else None for t, want in zip([found_x, *flat], wanted, strict=True))


def _parted(tensors: Sequence[Any], directions: int) -> tuple[list[Weights], list[States]]:
    each, count = len(tensors) // directions, len(Weights._fields)
    groups = [tensors[k : k + each] for k in range(0, len(tensors), each)]
    return [Weights(*group[:count]) for group in groups], [tuple(group[count:]) for group in groups]


def _weights(cell: Any) -> Weights:
    peepholes = None
    if type(cell) is LSTMPeephole:
        peepholes = torch.stack([getattr(cell, name) for name in PEEPHOLES])
    projection = getattr(cell, "weight_hr", None)
    return Weights(cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh, peepholes, projection)


def _with(cell: Cell, w: Weights) -> Cell:
    """A view of the cell that computes with these tensors, which need not be parameters."""
    one = copy(cell)
    one._parameters = {}
    given = {"weight_ih": w.ih, "weight_hh": w.hh, "bias_ih": w.bias_ih, "bias_hh": w.bias_hh}
    if w.hr is not None:
        given["weight_hr"] = w.hr
    if w.vectors is not None:
        given |= dict(zip(PEEPHOLES, w.vectors.unbind(0), strict=True))
    vars(one).update(given)
    return one


def is_transformed() -> bool:
    """Whether torch follows more than gradients: `torch.func`, or derivatives forwards."""
    functions = getattr(torch._C, "_are_functorch_transforms_active", lambda: False)
    return functions() or torch.autograd.forward_ad._current_level >= 0
