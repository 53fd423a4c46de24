"""What can be measured of each recurrence of a model, in one run: what a diagnosis is made from.

The flow of the gradient (`gradient_flow`), the saturation of the gates (`gates`), Lyapunov exponents and spectral radii
(`lyapunov`), and what the cell was given to read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from unrolled import state as states
from unrolled.cells.base import Cell
from unrolled.inspection.gates import Saturation, of_reading, saturation
from unrolled.inspection.gradient_flow import Flow, GradientFlow, batches_of, flow_in, joined, watched_runs
from unrolled.inspection.lyapunov import exponents_along, spectral_radius
from unrolled.inspection.tape import Reading, Tape, Watched, lengths
from unrolled.tasks.base import Task

STEPS = 200
"""Along which exponents are taken, at most."""


class Facts(NamedTuple):
    """Of one cell, in numbers.

    Attributes:
        layer: its path in the model; cell: the name of its class.
        keeps, writes, blocks: as the cell has them.
        flows: of each tensor of its state.
        steps: of a row, in the median.
        saturation: of each gate, and of each other block, that is bounded.
        input_scale: root mean square of what it read; nan where nothing.
        empty: the share of elements that were all zeros.
        radius: of each square block of `weight_hh`, the largest |eigenvalue|; none where there are no such blocks.
        exponents: the leading Lyapunov exponents along one row, nats a step.
        finite: whether all that it gave is finite.
    """

    layer: str
    cell: str
    blocks: tuple[str, ...]
    keeps: tuple[str, ...]
    writes: tuple[str, ...]
    flows: tuple[Flow, ...]
    steps: int
    saturation: Mapping[str, Saturation]
    input_scale: float
    empty: float
    radius: Mapping[str, float]
    exponents: tuple[float, ...]
    finite: bool


class Examination(NamedTuple):
    """The facts of each cell; and the loss that was looked at, the mean over the runs."""

    cells: tuple[Facts, ...]
    loss: float


def examine(
    model: nn.Module, make: Callable[[Any], Callable[[], Tensor]], *, runs: int = 1, exponents: int = 3
) -> Examination:
    """Any model with cells of ours, `unrolled.nn`'s or torch's recurrent modules.

    Args:
        model: left as it is.
        make: from a copy of it, in evaluation mode, a function whose every call runs the copy and gives a loss.
        runs: calls.
        exponents: Lyapunov exponents, at most; 0: none, which saves most of the time.

    Raises `BadOption` where the model has no recurrence.
    """
    flows, total, tape = [], 0.0, Tape()
    for loss, tape in watched_runs(model, make, runs):
        flows.append(flow_in(loss, tape) if loss.requires_grad else GradientFlow((), 0))
        total += float(loss.detach())
    whole = joined(flows) if any(flow.flows for flow in flows) else GradientFlow((), 0)
    found = [_facts(layer, cell, whole, exponents) for layer, cell in tape.items() if cell.readings]
    return Examination(tuple(found), total / max(runs, 1))


def examine_task(
    task: Task, examples: Sequence[Any], *, rows: int = 16, elements: int = 4096, batches: int = 1, seed: int = 1,
    exponents: int = 3,
) -> Examination:  # fmt: skip
    """A task's recurrences, on batches of examples with their blanks filled in, as a training has them.

    rows, elements: of a batch, at most; batches: that are looked at; seed: of which; exponents: as `examine` has them.
    """
    make, runs = batches_of(task, examples, rows=rows, elements=elements, batches=batches, seed=seed)
    return examine(task, make, runs=runs, exponents=exponents)


@torch.no_grad()
def _facts(layer: str, watched: Watched, flow: GradientFlow, exponents: int) -> Facts:
    inner = innermost(watched)
    read = torch.cat(watched.inputs) if watched.inputs else torch.zeros(0, watched.input_size)
    gates: dict[str, list[Tensor]] = {}
    for reading in watched.readings:
        for name, ticks in of_reading(watched, reading).items():
            gates.setdefault(name, []).extend(ticks)
    bounded = {name: saturation(torch.cat(gates[name]).float().numpy()) for name in watched.blocks if name in gates}
    outputs = [leaf for reading in watched.readings for tick in reading for leaf in states.leaves(tick.after)]
    return Facts(
        layer=layer,
        cell=type(inner).__name__,
        blocks=watched.blocks,
        keeps=watched.keeps,
        writes=watched.writes,
        flows=tuple(one for one in flow.flows if one.layer == layer),
        steps=int(np.median([size for reading in watched.readings for size in lengths(reading)])),
        saturation={name: value for name, value in bounded.items() if value is not None},
        input_scale=float(read.double().square().mean().sqrt()) if read.numel() else float("nan"),
        empty=float((read == 0).all(dim=1).double().mean()) if read.numel() else 0.0,
        radius=_radius(inner),
        exponents=_exponents(watched, watched.readings[0], exponents),
        finite=all(bool(torch.isfinite(leaf).all()) for leaf in outputs),
    )


def innermost(cell: Any) -> Cell:
    """The cell itself, of one that is wrapped."""
    while isinstance(getattr(cell, "cell", None), Cell):
        cell = cell.cell
    found: Cell = cell
    return found


def _radius(cell: Cell) -> dict[str, float]:
    weight = getattr(cell, "weight_hh", None)
    if not isinstance(weight, Tensor) or weight.shape[0] != len(cell.blocks) * weight.shape[1]:
        return {}
    return spectral_radius(weight, cell.blocks) if bool(torch.isfinite(weight).all()) else {}


def _exponents(cell: Watched, reading: Reading, count: int) -> tuple[float, ...]:
    """Along the first row, which is the longest."""
    px = [tick.px[:1] for tick in reading[:STEPS]]
    first = states.tree_map(lambda leaf: leaf[:1], reading[0].entered)
    size = sum(leaf[0].numel() for leaf in states.leaves(first))
    if not count or len(px) < 2:
        return ()
    found = exponents_along(cell.cell.for_unroll(), px, first, count=min(count, size), settle=len(px) // 4)
    return tuple(found[0].tolist()) if bool(torch.isfinite(found).all()) else ()
