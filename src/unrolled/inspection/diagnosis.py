r"""From measurements to a verdict, with the numbers that led to it, and what would help.

Of each cell the gradient is *healthy*, or it is *vanishing*, *exploding*, or *not finite*:

    exploding    somewhere on its way back the gradient's norm is more than GROWN times what it was at the loss
    vanishing    it falls below FELT of that before it has gone back as far as it must
    not finite   the cell gave NaN or infinity

How far it must go back is the distance that the caller names (over which something is to be remembered). Where none is
named, it is what the loss itself asks for: where it is felt at the end of a sequence alone, the whole sequence; where
it is felt at most steps, DENSE steps, since then each step teaches what came shortly before it.

A cell with a state of several tensors (h and c) is judged by the one through which the gradient goes furthest. Beside
the verdict stand facts that are not about distance: gates that are shut or saturated, inputs of a strange scale, inputs
of nothing but zeros.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from unrolled.inspection.examination import Examination, Facts
from unrolled.inspection.gradient_flow import Flow

GROWN, FELT = 10.0, 0.01
DENSE, MOST = 10, 0.5
"""Where the loss is felt at more than the second share of the steps, so many steps back must be reached."""
SATURATED = 0.8
"""The share of a gate's values from which on it is called saturated."""
SCALES = (1e-3, 10.0)
"""Between these the inputs' root mean square is as it should be."""

Kind = Literal[
    "healthy", "vanishing", "exploding", "not finite", "saturated", "scale", "empty",
    "unreadable", "labels", "leak", "rate", "faint", "clipped",
]  # fmt: skip
OF_GRADIENT = ("not finite", "exploding", "vanishing")
"""Illnesses of a cell's gradient, the worst first."""


class Finding(NamedTuple):
    """One fact about one place.

    where: the cell's path, or `training`, or `data`; kind: what it is; because: the numbers, in words; remedies: names
    of what would help, in `inspection.remedies`, the likeliest first.
    """

    where: str
    kind: Kind
    because: str
    remedies: tuple[str, ...] = ()

    @property
    def is_ill(self) -> bool:
        return self.kind != "healthy"


def diagnose(found: Examination, distance: int | None = None) -> list[Finding]:
    """The verdict on each cell, first its gradient, then what else was found of it.

    Args:
        found: what was measured.
        distance: over which the gradient must be felt, in steps; None: as the top of this file says.
    """
    return [finding for facts in found.cells for finding in _of_cell(facts, distance)]


def needed(facts: Facts, distance: int | None = None) -> int:
    """How far the gradient of a cell must go back, in steps: never further than its sequences are long."""
    if not facts.flows:
        return 0
    way = max(0, max(_curve(flow).size for flow in facts.flows) - 1)
    if distance is not None:
        return min(distance, way)
    felt = facts.flows[0].felt
    is_dense = len(felt) > 0 and float(np.mean(felt)) > MOST
    return min(DENSE, way) if is_dense else way


def _of_cell(facts: Facts, distance: int | None) -> list[Finding]:
    return [_gradient(facts, distance), *_gates(facts), *_inputs(facts)]


def _gradient(facts: Facts, distance: int | None) -> Finding:
    if not facts.finite:
        return Finding(facts.layer, "not finite", f"the {facts.cell} gave NaN or infinity", ("replay", "clip", "rate"))
    if any(np.isnan(flow.norms[:, :1]).any() or not np.isfinite(_curve(flow)).all() for flow in facts.flows):
        return Finding(facts.layer, "not finite", "its gradient is NaN or infinite", ("replay", "clip", "rate"))
    way = needed(facts, distance)
    if not way:
        felt = any(len(flow.norms) for flow in facts.flows)
        why = "no step of it lies before the one at which the loss is felt" if felt else "no loss is felt in it"
        return Finding(facts.layer, "healthy", f"{why}: there is nothing to judge")
    grown = max(facts.flows, key=lambda flow: float(_curve(flow).max()))
    most = float(_curve(grown).max())
    if most > GROWN:
        lag = int(_curve(grown).argmax())
        because = f"{_name(grown)} is {_times(most)} as long {lag} steps back as at the loss{_beside(facts, grown)}"
        return Finding(facts.layer, "exploding", because, ("orthogonal", "clip", "window", "rate"))
    best = max(facts.flows, key=lambda flow: (_reach(flow), float(_curve(flow)[-1])))
    reach = _reach(best)
    at = f"at {way} steps back {_name(best)} is {_share(_curve(best)[way])} of what it is at the loss"
    if reach < way:
        because = f"{_name(best)} falls under {FELT:.0%} after {reach} steps, of {way} that it must go back"
        return Finding(facts.layer, "vanishing", because + _beside(facts, best), _against_vanishing(facts))
    return Finding(facts.layer, "healthy", at + _beside(facts, best))


def _gates(facts: Facts) -> list[Finding]:
    found = []
    # Who keeps for long takes in little at a time: where the gate that keeps is open, the one that writes may be shut.
    keeps = [of.open for name, of in facts.saturation.items() if name in facts.keeps]
    by_design = facts.writes if keeps and max(keeps) > 1 - SATURATED else ()
    for name, of in facts.saturation.items():
        if name in by_design:
            continue
        both = of.low < 0
        ill, how = (of.shut + of.open, "at its ends") if both else (of.shut, "as good as shut")
        if ill > SATURATED:
            because = f"{ill:.0%} of the values of {name} are {how}: hardly any gradient passes through it"
            found.append(Finding(facts.layer, "saturated", because, ("scale", "layernorm", "rate")))
    return found


def _inputs(facts: Facts) -> list[Finding]:
    found = []
    if facts.empty > 0:
        because = f"{facts.empty:.1%} of the elements that it reads are zeros in every feature"
        found.append(Finding(facts.layer, "empty", because, ("data",)))
    scale = facts.input_scale
    if math.isfinite(scale) and facts.empty < 1 and not SCALES[0] <= scale <= SCALES[1]:
        because = f"what it reads has a root mean square of {scale:.3g}, far from 1"
        found.append(Finding(facts.layer, "scale", because, ("scale",)))
    return found


def _against_vanishing(facts: Facts) -> tuple[str, ...]:
    if not facts.keeps:
        return ("gated", "orthogonal")
    return ("chrono", "forget") if "f" in facts.keeps else ("chrono",)


def _curve(flow: Flow) -> Any:
    """The median over rows of the norm at each lag, over that at lag 0."""
    return flow.quantiles(0.5)[0]


def _reach(flow: Flow) -> int:
    """The last lag at which the gradient is still felt."""
    memory = flow.memory(FELT)
    return _curve(flow).size - 1 if memory is None else memory - 1


def _name(flow: Flow) -> str:
    return f"dL/d{flow.tensor}"


def _beside(facts: Facts, flow: Flow) -> str:
    """The numbers beside the main one."""
    parts = [f"a step multiplies it by {flow.factor:.3g}"]
    if facts.exponents:
        parts.append(f"largest Lyapunov exponent {facts.exponents[0]:.3g}")
    if facts.radius:
        radii = ", ".join(f"{name} {value:.2g}" for name, value in facts.radius.items())
        parts.append(f"spectral radius {radii}")
    return f" ({'; '.join(parts)})"


def _times(value: float) -> str:
    return f"{value:.3g} times"


def _share(value: float) -> str:
    return f"{value:.1%}" if value >= 0.001 else f"{value:.1g}"


def summary(findings: Sequence[Finding]) -> Kind:
    """The worst of them: not finite, exploding, vanishing, then any other illness; healthy where there is none."""
    order = (*OF_GRADIENT, *(kind for kind in get_args(Kind) if kind != "healthy"))
    kinds = {finding.kind for finding in findings}
    return next((kind for kind in order if kind in kinds), "healthy")
