r"""How the gradient fares on its way back through time: measured, at each layer and lag.

Of a row, let T be the last step of a cell at which the loss is felt (a gradient comes from above), and

    v = dL/dh_T        of what comes from above at T alone, and of dL/dc_T, where there is a cell state

Then the norm of dL/dh_{T-k}, k = 0, 1, …, is what is left of it k steps back: the *flow* at lag k. It is a product of
the Jacobians between, and so falls or grows like a power of k (Hochreiter 1991; Bengio, Simard & Frasconi 1994;
Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063, equations 5 to 7). What the loss at other steps adds is left out: it
is why a sum over all steps may look healthy while nothing distant is learnt.

From the flow, per layer: the *factor* by which a step multiplies the norm, and the *memory*, the lag at which the norm
has fallen to 1/e, and to 1 %, of what it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unrolled import state as states
from unrolled.data.examples import Passage
from unrolled.data.feeds import Feed
from unrolled.errors import BadData, BadOption
from unrolled.inspection.tape import Reading, Tape, Tick, watch
from unrolled.tasks.base import Task

PLACES = 6
TENSORS = ("h", "c", "s2", "s3")
"""How the tensors of a state are called, in their order; no cell so far has more than the first two."""
FEWEST = 4
"""Rows that must reach back so far, at least (or a quarter of all, where that is less), for a lag to be told of."""


class Flow(NamedTuple):
    """Of one tensor of one cell's state.

    layer: the cell's path in the model; tensor: `h`, or `c`; norms: (rows, lags), of dL/dh_{T-k}, NaN before a row's
    first step; felt: (rows,), at which share of a row's steps the loss is felt: 1 where every step is asked for
    something, near 0 where the last one alone is.
    """

    layer: str
    tensor: str
    norms: NDArray[np.float64]
    felt: NDArray[np.float64]

    @property
    def relative(self) -> NDArray[np.float64]:
        """The norms over those at lag 0; rows where that is 0 are NaN."""
        first = self.norms[:, :1]
        return self.norms / np.where(first > 0, first, np.nan)

    def quantiles(self, *shares: float) -> NDArray[np.float64]:
        """Of the rows that reach back so far, at each lag that enough of them reach: (len(shares), lags)."""
        reached = self._reached()
        return np.nanquantile(reached, shares, axis=0) if reached.size else np.empty((len(shares), 0))

    @property
    def factor(self) -> float:
        """By which one step back multiplies the norm, in the (geometric) mean over the way: NaN for a single step."""
        curve = self._median()
        # Where nothing is left that could be told from rounding, the way is over.
        alive = np.flatnonzero(curve > 1e-30)
        last = int(alive[-1]) if len(alive) else 0
        if last == 0:
            return 0.0 if len(curve) > 1 else math.nan
        return float((curve[last] / curve[0]) ** (1 / last))

    def memory(self, share: float) -> int | None:
        """The first lag from which on the median is below a share of what it is at lag 0; None: no such lag."""
        below = self._median() < share
        if not len(below) or not below[-1]:
            return None
        over = np.flatnonzero(~below)
        return int(over[-1]) + 1 if len(over) else 0

    def _reached(self) -> NDArray[np.float64]:
        found = self.relative
        found = found[~np.isnan(found[:, 0])]
        if not len(found):
            return np.empty((1, 0))
        enough = min(FEWEST, math.ceil(len(found) / 4))
        return found[:, (~np.isnan(found)).sum(axis=0) >= enough]

    def _median(self) -> NDArray[np.float64]:
        reached = self._reached()
        return np.nanmedian(reached, axis=0) if reached.shape[1] else np.empty(0)


class GradientFlow(NamedTuple):
    """The flow of each state tensor of each cell, lowest layer first. rows: that were looked at."""

    flows: tuple[Flow, ...]
    rows: int

    def of(self, layer: str, tensor: str = "h") -> Flow:
        """Raises `BadOption` where there is none."""
        for flow in self.flows:
            if (flow.layer, flow.tensor) == (layer, tensor):
                return flow
        names = ", ".join(f"{flow.layer} {flow.tensor}" for flow in self.flows)
        raise BadOption(f"no gradient of {layer} {tensor} was measured; there are {names or 'none'}")

    def to_json(self) -> dict[str, Any]:
        """All of it as plain lists and numbers."""
        return {"rows": self.rows, "flows": [_plain(flow) for flow in self.flows]}

    def __str__(self) -> str:
        lines = [f"{'layer':40}  {'':2}  {'a step':>8}  {'1/e at':>7}  {'1 % at':>7}  {'looked':>7}"]
        for flow in self.flows:
            memory = ["never" if lag is None else str(lag) for lag in (flow.memory(math.exp(-1)), flow.memory(0.01))]
            back = f"{flow.quantiles(0.5).shape[1] - 1} back"
            lines.append(
                f"{flow.layer:40}  {flow.tensor:2}  {flow.factor:8.4f}  {memory[0]:>7}  {memory[1]:>7}  {back:>7}"
            )
        return "\n".join(lines)


def gradient_flow(
    task: Task, examples: Sequence[Any], *, rows: int = 32, elements: int = 4096, batches: int = 2, seed: int = 1
) -> GradientFlow:
    """Of a task's loss on examples with their blanks filled in, nothing dropped.

    Args:
        task: left as it is.
        examples: are batched as a training batches them, and a language model's cut into its windows.
        rows, elements: of a batch, at most.
        batches: that are looked at.
        seed: of which.

    Raises `BadData` for an example that cannot be read, `BadOption` where the task has no recurrence.
    """
    return flow_of(task, *batches_of(task, examples, rows=rows, elements=elements, batches=batches, seed=seed))


def batches_of(
    task: Task, examples: Sequence[Any], *, rows: int, elements: int, batches: int, seed: int
) -> tuple[Callable[[Task], Callable[[], Tensor]], int]:
    """For `flow_of` and its like: the mean loss of a decision, batch after batch as a training has them; and how many.

    Arguments as `gradient_flow` has them. Examples whose answer training never saw are left out, as a check leaves them
    without a loss; a text that is too short for so many rows is read in fewer. Raises `BadData` where nothing is left.
    """
    feed = _feed(task, examples, elements=elements, rows=rows, seed=seed)
    pieces = feed.plan(0)[:batches]

    def make(copy: Task) -> Callable[[], Tensor]:
        taken = iter([copy.collate(feed.take(piece)) for piece in pieces])

        def run() -> Tensor:
            loss = copy.loss(next(taken))
            return loss.total / loss.count

        return run

    return make, len(pieces)


def _feed(task: Task, examples: Sequence[Any], *, elements: int, rows: int, seed: int) -> Feed:
    try:
        feed = task.feed(examples, elements=elements, rows=rows, seed=seed)
        for _ in feed.make():
            pass
    except BadData:
        if task.example is Passage:
            if rows == 1:
                raise
            return _feed(task, examples, elements=elements, rows=rows // 2, seed=seed)
        kept = answerable(task, examples)
        if len(kept) in (0, len(examples)):
            raise
        return _feed(task, kept, elements=elements, rows=rows, seed=seed)
    return feed


def answerable(task: Task, examples: Sequence[Any]) -> list[Any]:
    """The examples whose answers the task has ever met: of others it cannot say how likely they are."""
    found = []
    for example in examples:
        with suppress(BadData):
            task.encode(example)
            found.append(example)
    return found


def flow_of(model: nn.Module, make: Callable[[Any], Callable[[], Tensor]], runs: int = 1) -> GradientFlow:
    """Of any model with cells of ours, `unrolled.nn`'s or torch's recurrent modules.

    Args:
        model: left as it is.
        make: from a copy of it, in evaluation mode, a function whose every call runs the copy and gives a loss.
        runs: calls.

    Raises `BadOption` where the model has no recurrence, or the loss does not depend on it.
    """
    return joined([flow_in(total, tape) for total, tape in watched_runs(model, make, runs)])


def watched_runs(
    model: nn.Module, make: Callable[[Any], Callable[[], Tensor]], runs: int
) -> Iterator[tuple[Tensor, Tape]]:
    """The loss of each run, and the tape of it alone, which the next one overwrites. Arguments as `flow_of`.

    Raises `BadOption` where the model has no recurrence.
    """
    copy, tape = watch(model)
    copy.eval()
    if not tape:
        raise BadOption(f"{type(model).__name__} has no recurrent cell: no gradient flows through time in it")
    run = make(copy)
    for _ in range(runs):
        for cell in tape.values():
            cell.forget()
        with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
            total = run()
        yield total, tape


def flow_in(total: Tensor, tape: Tape) -> GradientFlow:
    """Of a loss that was computed while the tape was written."""
    flows = []
    for layer, cell in tape.items():
        for reading in cell.readings:
            norms, felt = _of_reading(total, reading)
            flows += [Flow(layer, tensor, each, felt) for tensor, each in zip(TENSORS, norms, strict=False)]
    rows = max((cell.readings[0][0].rows for cell in tape.values() if cell.readings), default=0)
    return GradientFlow(tuple(flows), rows)


def joined(parts: Sequence[GradientFlow]) -> GradientFlow:
    """The flows of several runs of one model, and of several readings of one cell, as one.

    Raises `BadOption` where there are none.
    """
    found: dict[tuple[str, str], list[Flow]] = {}
    for part in parts:
        for flow in part.flows:
            found.setdefault((flow.layer, flow.tensor), []).append(flow)
    if not found:
        raise BadOption("the loss does not depend on any recurrent cell")
    flows = [
        Flow(*name, _stacked([flow.norms for flow in each]), np.concatenate([flow.felt for flow in each]))
        for name, each in found.items()
    ]
    return GradientFlow(tuple(flows), sum(part.rows for part in parts))


def _of_reading(total: Tensor, reading: Reading) -> tuple[list[NDArray[np.float64]], NDArray[np.float64]]:
    """Of each state tensor the norms, (rows, lags), and the share of steps, (rows,), of rows whose loss is felt."""
    nothing: list[NDArray[np.float64]] = []
    made = [states.leaves(tick.after) for tick in reading]
    if not reading[0].output.requires_grad:
        return nothing, np.zeros(0)
    shown = [_shown(tick) for tick in reading]
    above = _from_above(total, reading, shown)
    if above is None:
        return nothing, np.zeros(0)
    last, felt = _felt(above)
    outputs, given = [], []
    for time, (tensors, seeds) in enumerate(zip(shown, above, strict=True)):
        here = (last == time)[: reading[time].rows]
        if here.any():
            outputs += tensors
            given += [seed * here.unsqueeze(1) for seed in seeds]
    flat = [leaf for leaves in made for leaf in leaves]
    grads = torch.autograd.grad(outputs, flat, given, retain_graph=True, allow_unused=True)
    count = len(made[0])
    norms = np.full((count, len(last), len(reading)), np.nan)
    for time, tick in enumerate(reading):
        lags = (last[: tick.rows] - time).numpy()
        alive = np.flatnonzero(lags >= 0)
        for place, grad in enumerate(grads[time * count : (time + 1) * count]):
            size = np.zeros(tick.rows) if grad is None else _norms(grad.double()).numpy()
            norms[place, alive, lags[alive]] = size[alive]
    is_felt = (last >= 0).numpy()
    return [each[is_felt] for each in norms], felt[is_felt]


def _shown(tick: Tick) -> list[Tensor]:
    """All that others may read of a tick."""
    return [tick.output, *states.leaves(tick.left)]


def _from_above(total: Tensor, reading: Reading, shown: list[list[Tensor]]) -> list[list[Tensor]] | None:
    """The gradient that comes to what each tick shows, less what comes back from the tick after it; None: nothing."""
    entered = [states.leaves(tick.entered) for tick in reading[1:]]
    flat = [tensor for tensors in (*shown, *entered) for tensor in tensors]
    grads = torch.autograd.grad(total, flat, retain_graph=True, allow_unused=True)
    if all(grad is None for grad in grads[: sum(map(len, shown))]):
        return None
    found = iter([torch.zeros_like(t) if grad is None else grad for t, grad in zip(flat, grads, strict=True)])
    above = [[next(found).clone() for _ in tensors] for tensors in shown]
    for (_, *mine), later in zip(above, entered, strict=False):
        for grad, leaf in zip(mine, later, strict=True):
            back = next(found)
            size = _norms(grad[: len(leaf)])
            grad[: len(leaf)] -= back
            # The difference of what is equal but for rounding is nothing.
            grad[: len(leaf)][_norms(grad[: len(leaf)]) < 1e-6 * size] = 0
    return above


def _felt(above: list[list[Tensor]]) -> tuple[Tensor, NDArray[np.float64]]:
    """The last tick at which a gradient comes from above to each row, (rows,), -1 for none; at which share it does."""
    rows = len(above[0][0])
    last = torch.full((rows,), -1)
    times, steps = torch.zeros(2, rows, dtype=torch.float64)
    for time, grads in enumerate(above):
        here = ~(torch.stack([_norms(grad) for grad in grads]).amax(dim=0) <= 0)  # what is no number is felt, too
        last[: len(here)][here] = time
        times[: len(here)] += here
        steps[: len(here)] += 1
    return last, (times / steps).numpy()


def _norms(grads: Tensor) -> Tensor:
    """Of each row. (rows, …) -> (rows,)."""
    return grads.detach().flatten(1).norm(dim=1)


def _stacked(parts: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    lags = max(part.shape[1] for part in parts)
    return np.concatenate([np.pad(p, ((0, 0), (0, lags - p.shape[1])), constant_values=np.nan) for p in parts])


def _plain(flow: Flow) -> dict[str, Any]:
    low, middle, high = (
        [round(float(v), PLACES) if math.isfinite(v) else None for v in curve]
        for curve in flow.quantiles(0.1, 0.5, 0.9)
    )
    return {
        "layer": flow.layer,
        "tensor": flow.tensor,
        "factor": None if math.isnan(flow.factor) else round(flow.factor, PLACES),
        "memory": {"1/e": flow.memory(math.exp(-1)), "1%": flow.memory(0.01)},
        "median": middle,
        "tenth": low,
        "ninetieth": high,
    }
