"""Planted illnesses are told from health: the verdict is the one that the equations say, in every case of a list."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from unrolled import state as states
from unrolled.cells.base import Cell
from unrolled.cells.elman import Elman
from unrolled.cells.gru import GRU
from unrolled.cells.initialise import initialise_
from unrolled.cells.lstm import LSTM
from unrolled.cells.minlstm import MinLSTM
from unrolled.errors import BadOption
from unrolled.inspection.diagnosis import FELT, GROWN, Finding, diagnose, summary
from unrolled.inspection.examination import examine
from unrolled.layers.recurrent import Recurrent

STEPS = 41
"""So that the gradient has 40 steps to go back."""


def inputs(scale: float, rows: int = 6) -> PackedSequence:
    torch.manual_seed(1)
    return pack_sequence([scale * torch.randn(STEPS, 4) for _ in range(rows)])


def at_the_end(x: PackedSequence) -> Callable[[Any], Callable[[], Tensor]]:
    return lambda layer: lambda: states.leaves(layer(x)[1])[0].square().sum()


def verdicts(cell: Cell, x: PackedSequence, distance: int | None = None) -> list[Finding]:
    return diagnose(examine(Recurrent(cell), at_the_end(x), exponents=0), distance)


class Case(NamedTuple):
    """make: the cell; scale: of the inputs; expected: the verdict, and what else is found."""

    name: str
    make: Callable[[], Cell]
    scale: float
    expected: set[str]


def elman(scale: float) -> Callable[[], Cell]:
    """W_hh = scale Q; with inputs near 0, tanh does nothing, and the norm is scale^k at lag k."""

    def make() -> Cell:
        cell = Elman(4, 16)
        initialise_(cell, "orthogonal")
        with torch.no_grad():
            cell.weight_hh.mul_(scale)
        return cell

    return make


def gated(kind: Any, gate: str, bias: float) -> Callable[[], Cell]:
    """No recurrent weights, and inputs near 0: the gate that keeps is sigmoid(bias), and dL/dc is that to the k."""

    def make() -> Cell:
        cell = kind(4, 16)
        with torch.no_grad():
            for name, parameter in cell.named_parameters():
                if name != "weight_ih":
                    parameter.zero_()
            size = 16 * cell.blocks.index(gate)
            cell.bias_ih[size : size + 16] = bias
        return cell

    return make


def expected_of(factor: float) -> str:
    """From the definition: what is left after 40 steps."""
    left = factor ** (STEPS - 1)
    return "vanishing" if left < FELT else "exploding" if left > GROWN else "healthy"


def sigmoid(bias: float) -> float:
    return 1 / (1 + math.exp(-bias))


PLAIN = [0.1, 0.2, 0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.93, 0.95, 0.97, 0.99, 1.0, 1.01, 1.03, 1.08, 1.1, 1.15, 1.2]
BIASES = [-3.0, -2.5, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.4, 2.7, 3.0]
SHUT = {-3.0: {"saturated"}, -2.5: {"saturated"}}

CASES = [
    *(Case(f"plain x {a}", elman(a), 1e-9, {expected_of(a)}) for a in PLAIN),
    *(
        Case(f"LSTM forget bias {b}", gated(LSTM, "f", b), 1e-2, {expected_of(sigmoid(b))} | SHUT.get(b, set()))
        for b in BIASES
    ),
    *(
        Case(f"GRU update bias {b}", gated(GRU, "z", b), 1e-2, {expected_of(sigmoid(b))} | SHUT.get(b, set()))
        for b in (-3.0, -1.0, 1.0, 2.5, 4.0)
    ),
    # The share of what was held is f / (f + i), with i = sigmoid(0).
    *(
        Case(f"minLSTM forget bias {b}", gated(MinLSTM, "f", b), 1e-2, {expected_of(sigmoid(b) / (sigmoid(b) + 0.5))})
        for b in (-1.0, 0.0, 1.0)
    ),
    *(Case(f"plain, inputs x {s}", elman(1.0), s, {"vanishing", "saturated", "scale"}) for s in (50.0, 200.0)),
    *(Case(f"LSTM, inputs x {s}", gated(LSTM, "f", 3.0), s, {"saturated", "scale"}) for s in (500.0,)),
]


def test_there_are_forty_cases_or_more_and_both_sides_of_each_line() -> None:
    assert len(CASES) >= 40
    kinds = [kind for case in CASES for kind in case.expected]
    assert all(kinds.count(kind) >= 3 for kind in ("vanishing", "exploding", "healthy", "saturated"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_verdict_is_that_of_the_equations(case: Case) -> None:
    torch.manual_seed(0)
    found = {finding.kind for finding in verdicts(case.make(), inputs(case.scale))}
    ignored = {"scale"} if case.scale < 1 else set()  # the inputs of these cases are small on purpose
    if "scale" in case.expected:  # what saturates may also vanish, or not: the case is about the inputs
        assert {"saturated", "scale"} <= found
    else:
        assert found - ignored == case.expected


@pytest.mark.parametrize("step", [0, 7, 40])
@pytest.mark.parametrize("kind", [Elman, LSTM])
def test_nan_at_a_step_is_found(kind: Any, step: int) -> None:
    x = inputs(1.0)
    x.data[6 * step + 2] = math.nan
    found = verdicts(kind(4, 16), x)
    assert summary(found) == "not finite"


def test_elements_of_nothing_but_zeros_are_told_of() -> None:
    x = inputs(1.0)
    x.data[:123] = 0
    (finding,) = [f for f in verdicts(gated(LSTM, "f", 3.0)(), x) if f.kind == "empty"]
    assert finding.because.startswith("50.0% of the elements")


def test_a_distance_that_is_named_is_the_one_that_counts() -> None:
    torch.manual_seed(0)
    cell = elman(0.8)()  # 0.8^20 is 1.15 %, 0.8^21 is 0.92 %
    kinds = [verdicts(cell, inputs(1e-9), distance)[0].kind for distance in (5, 20, 21, 500)]
    assert kinds == ["healthy", "healthy", "vanishing", "vanishing"]


def test_where_every_step_is_asked_for_something_ten_steps_are_enough() -> None:
    torch.manual_seed(0)
    x = inputs(1e-9)
    found = examine(Recurrent(elman(0.7)()), lambda layer: lambda: layer(x)[0].data.sum(), exponents=0)
    assert diagnose(found)[0].kind == "healthy"  # 0.7^10 is 2.8 %
    found = examine(Recurrent(elman(0.6)()), lambda layer: lambda: layer(x)[0].data.sum(), exponents=0)
    assert diagnose(found)[0].kind == "vanishing"  # 0.6^10 is 0.6 %


def test_a_verdict_names_the_numbers_and_what_would_help() -> None:
    torch.manual_seed(0)
    (finding, *_) = diagnose(examine(Recurrent(elman(0.5)()), at_the_end(inputs(1e-9))))
    assert finding.where == "cell"
    assert finding.because == (
        "dL/dh falls under 1% after 6 steps, of 40 that it must go back "
        "(a step multiplies it by 0.5; largest Lyapunov exponent -0.693; spectral radius h 0.5)"
    )
    assert finding.remedies == ("gated", "orthogonal")
    assert verdicts(gated(LSTM, "f", 0.0)(), inputs(0.1))[0].remedies == ("chrono", "forget")
    assert verdicts(gated(GRU, "z", 0.0)(), inputs(0.1))[0].remedies == ("chrono",)


def test_the_worst_is_told_first() -> None:
    def of(*kinds: Any) -> list[Finding]:
        return [Finding("x", kind, "") for kind in kinds]

    assert summary(of("healthy", "saturated", "vanishing")) == "vanishing"
    assert summary(of("vanishing", "exploding", "not finite")) == "not finite"
    assert summary(of("healthy")) == summary([]) == "healthy"


def test_a_model_without_recurrence_is_refused() -> None:
    with pytest.raises(BadOption, match="has no recurrent cell"):
        examine(torch.nn.Linear(2, 2), lambda copy: lambda: copy(torch.ones(1, 2)).sum())
