from __future__ import annotations

import copy
import math
import re

import pytest
import torch

from unrolled.cells.base import Cell
from unrolled.cells.elman import Elman
from unrolled.cells.gru import GRU
from unrolled.cells.gru_cho import GRUCho
from unrolled.cells.initialise import chrono_, forget_bias_, initialise_, orthogonal_, uniform_, xavier_
from unrolled.cells.lstm import LSTM
from unrolled.cells.lstm_coupled import LSTMCoupled
from unrolled.cells.lstm_layernorm import LSTMLayerNorm
from unrolled.cells.lstm_peephole import LSTMPeephole
from unrolled.cells.lstm_projected import LSTMProjected
from unrolled.cells.mingru import MinGRU
from unrolled.cells.minlstm import MinLSTM
from unrolled.cells.mogrifier import Mogrifier
from unrolled.errors import BadOption

ALL = (Elman, GRU, GRUCho, LSTM, LSTMCoupled, LSTMLayerNorm, LSTMPeephole, LSTMProjected, Mogrifier)
WITH_FORGET_GATE = (LSTM, LSTMCoupled, LSTMLayerNorm, LSTMPeephole, LSTMProjected, Mogrifier)
WITH_UPDATE_GATE = (GRU, GRUCho)
HIDDEN = 64


def bias_of(cell: Cell, block: str) -> torch.Tensor:
    size = len(cell.bias_ih) // len(cell.blocks)
    start = cell.blocks.index(block) * size
    return (cell.bias_ih + cell.bias_hh)[start : start + size].detach()


def assert_unchanged(cell: Cell, before: dict[str, torch.Tensor]) -> None:
    for name, value in cell.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_uniform_weights_fill_their_range_and_stay_in_it() -> None:
    cell = LSTM(10, HIDDEN)
    uniform_(cell)
    for parameter in cell.parameters():
        assert parameter.abs().max() <= 1 / math.sqrt(HIDDEN)
        assert parameter.abs().max() > 0.9 / math.sqrt(HIDDEN)


@pytest.mark.parametrize("kind", ALL)
def test_an_orthogonal_recurrence_keeps_every_norm(kind: type[Cell]) -> None:
    cell = kind(10, HIDDEN).double()
    orthogonal_(cell, gain=1.5)
    for block in cell.weight_hh.detach().chunk(len(cell.blocks)):
        columns = block.shape[1]
        torch.testing.assert_close(block.T @ block, 2.25 * torch.eye(columns, dtype=torch.float64))


def test_an_orthogonal_projection_has_orthonormal_rows() -> None:
    cell = LSTMProjected(10, HIDDEN).double()
    orthogonal_(cell)
    rows = cell.weight_hr.detach()
    torch.testing.assert_close(rows @ rows.T, torch.eye(HIDDEN // 2, dtype=torch.float64))


@pytest.mark.parametrize("kind", ALL)
def test_xavier_weights_have_each_gates_own_range(kind: type[Cell]) -> None:
    cell = kind(10, HIDDEN)
    xavier_(cell)
    bound = math.sqrt(6 / (10 + HIDDEN))
    for block in cell.weight_ih.detach().chunk(len(cell.blocks)):
        assert 0.95 * bound < block.abs().max() <= bound


@pytest.mark.parametrize("kind", WITH_FORGET_GATE)
def test_the_forget_gate_begins_as_open_as_it_is_told(kind: type[Cell]) -> None:
    cell = kind(3, HIDDEN)
    others = {name: bias_of(cell, name) for name in cell.blocks if name != "f"}
    forget_bias_(cell, 2.5)
    assert (bias_of(cell, "f") == 2.5).all()
    for name, value in others.items():
        assert torch.equal(bias_of(cell, name), value), f"the bias of {name} changed"
    # Nothing else moves the gate of a cell without weights: so it must be sigmoid(2.5).
    for weight in (cell.weight_ih, cell.weight_hh):
        torch.nn.init.zeros_(weight)
    gates = cell.gates(cell.project(torch.randn(2, 3)), cell.initial_state(2))
    torch.testing.assert_close(gates.f, torch.full((2, HIDDEN), 1 / (1 + math.exp(-2.5))))


@pytest.mark.parametrize(("kind", "blocks"), [(Elman, "h"), (GRU, "r, z, n"), (GRUCho, "r, z, n")])
def test_a_cell_without_a_forget_gate_has_no_bias_for_it(kind: type[Cell], blocks: str) -> None:
    cell = kind(3, 4)
    before = copy.deepcopy(cell.state_dict())
    message = f"{kind.__name__} has no forget gate whose bias could be set; its blocks are {blocks}"
    for attempt in (lambda: forget_bias_(cell), lambda: initialise_(cell, forget_bias=1.0)):
        with pytest.raises(BadOption, match=f"^{re.escape(message)}$"):
            attempt()
    assert_unchanged(cell, before)


@pytest.mark.parametrize("set_bias", [forget_bias_, lambda cell: chrono_(cell, 10)])
def test_a_cell_without_biases_says_so(set_bias) -> None:
    with pytest.raises(BadOption, match=r"^this LSTM was made without biases, so no gate's bias can be set$"):
        set_bias(LSTM(3, 4, bias=False))


@pytest.mark.parametrize("kind", WITH_FORGET_GATE + WITH_UPDATE_GATE)
def test_chrono_times_are_spread_from_one_step_to_the_longest(kind: type[Cell]) -> None:
    cell = kind(3, 4000)
    chrono_(cell, 101)
    keep = "f" if kind in WITH_FORGET_GATE else "z"
    times = bias_of(cell, keep).exp()  # uniform from 1 to 100
    assert 0.999 <= times.min() < 2
    assert 99 < times.max() <= 100.001
    assert times.mean().item() == pytest.approx(50.5, abs=2)  # the standard error is 0.45
    assert times.std().item() == pytest.approx(99 / math.sqrt(12), abs=1)
    if "i" in cell.blocks:
        assert torch.equal(bias_of(cell, "i"), -bias_of(cell, "f"))


@pytest.mark.parametrize("kind", WITH_FORGET_GATE + WITH_UPDATE_GATE)
def test_a_unit_forgets_at_the_pace_that_chrono_gave_it(kind: type[Cell]) -> None:
    cell = kind(3, 16).double()
    chrono_(cell, 50)
    times = bias_of(cell, cell.keeps[0]).exp()
    for name, parameter in cell.named_parameters():
        if name.startswith("weight"):
            torch.nn.init.zeros_(parameter)
    held = torch.full((1, 16), 0.5, dtype=torch.float64)
    gates = cell.gates(cell.project(torch.zeros(1, 3, dtype=torch.float64)), _state(cell, held))
    # sigmoid(log u) = u / (u + 1): after 1 + u steps about 1/e of what was held is left.
    torch.testing.assert_close(getattr(gates, cell.keeps[0])[0], times / (times + 1))


def _state(cell: Cell, held: torch.Tensor):
    initial = cell.initial_state(1)
    return (initial[0], held) if isinstance(initial, tuple) else held


def test_chrono_is_not_for_a_cell_without_gates() -> None:
    message = "Elman has no gate that keeps or writes its state: chrono does not apply"
    with pytest.raises(BadOption, match=f"^{re.escape(message)}$"):
        chrono_(Elman(3, 4), 10)


@pytest.mark.parametrize("longest", [2, 0, -5])
def test_chrono_needs_some_time(longest: int) -> None:
    cell = LSTM(3, 4)
    before = copy.deepcopy(cell.state_dict())
    message = f"chrono needs the longest time to remember, 3 steps or more, not {longest}"
    for attempt in (lambda: chrono_(cell, longest), lambda: initialise_(cell, chrono=longest)):
        with pytest.raises(BadOption, match=f"^{re.escape(message)}$"):
            attempt()
    assert_unchanged(cell, before)


@pytest.mark.parametrize("kind", ALL)
def test_uniform_initialisation_is_what_the_constructor_does(kind: type[Cell]) -> None:
    torch.manual_seed(4)
    cell = kind(3, 4)
    drawn = copy.deepcopy(cell.state_dict())
    torch.manual_seed(4)
    initialise_(cell)
    assert_unchanged(cell, drawn)


@pytest.mark.parametrize("kind", ALL)
def test_orthogonal_initialisation_sets_every_part(kind: type[Cell]) -> None:
    cell = kind(10, HIDDEN)
    initialise_(cell, "orthogonal")
    bound = math.sqrt(6 / (10 + HIDDEN))
    assert cell.weight_ih.abs().max() <= bound
    for block in cell.weight_hh.detach().chunk(len(cell.blocks)):
        torch.testing.assert_close(block.T @ block, torch.eye(block.shape[1]), atol=1e-5, rtol=0)
    for name, parameter in cell.named_parameters():
        if name.startswith("bias"):
            assert (parameter == 0).all(), name
        if name.startswith("gain"):
            assert (parameter == 1).all(), name


@pytest.mark.parametrize("how", ["uniform", "orthogonal"])
def test_initialisation_sets_the_gates_last(how: str) -> None:
    cell = LSTM(3, 40)
    initialise_(cell, how, forget_bias=1.0)
    assert (bias_of(cell, "f") == 1).all()
    initialise_(cell, how, chrono=20)
    assert (bias_of(cell, "f") >= 0).all()
    assert len(bias_of(cell, "f").unique()) > 1
    assert torch.equal(bias_of(cell, "i"), -bias_of(cell, "f"))


def test_both_ways_to_open_the_forget_gate_at_once_are_refused() -> None:
    with pytest.raises(BadOption, match=r"^forget_bias and chrono set the same biases: give one of them$"):
        initialise_(LSTM(3, 4), forget_bias=1.0, chrono=10)


def test_another_way_to_initialise_is_refused() -> None:
    with pytest.raises(BadOption, match=r"^initialisation must be 'uniform' or 'orthogonal', not 'zeros'$"):
        initialise_(LSTM(3, 4), "zeros")


def test_a_cell_without_a_recurrent_weight_cannot_be_orthogonal() -> None:
    class Counter(Elman):
        def __init__(self) -> None:
            super().__init__(3, 4)
            del self.weight_hh

    with pytest.raises(BadOption, match=r"^Counter has no weight_hh: only 'uniform' can initialise it$"):
        initialise_(Counter(), "orthogonal")


@pytest.mark.parametrize("kind", [MinGRU, MinLSTM])
def test_where_nothing_meets_the_state_orthogonal_sets_what_meets_the_input(kind: type[Cell]) -> None:
    cell = kind(10, HIDDEN)
    initialise_(cell, "orthogonal", chrono=20)
    bound = math.sqrt(6 / (10 + HIDDEN))
    for block in cell.weight_ih.detach().chunk(len(cell.blocks)):
        assert 0.95 * bound < block.abs().max() <= bound
    assert (cell.bias_ih.chunk(len(cell.blocks))[-1] == 0).all()
    with pytest.raises(BadOption, match=f"^{kind.__name__} has no weight_hh: only 'uniform' can initialise it$"):
        orthogonal_(cell)


@pytest.mark.parametrize("kind", [MinGRU, MinLSTM])
def test_a_unit_of_one_bias_forgets_at_the_pace_that_chrono_gave_it(kind: type[Cell]) -> None:
    cell = kind(3, 16).double()
    chrono_(cell, 50)
    torch.nn.init.zeros_(cell.weight_ih)
    times = (-cell.bias_ih[16 * cell.blocks.index(cell.writes[0]) :][:16]).exp()
    assert ((times >= 1) & (times <= 49)).all()
    a, _ = cell.coefficients(cell.project(torch.zeros(1, 3, dtype=torch.float64)))
    torch.testing.assert_close(a[0], times / (times + 1))


def test_the_minimal_lstm_begins_with_its_forget_gate_open_where_it_is_told() -> None:
    cell = MinLSTM(3, 4)
    forget_bias_(cell, 2.5)
    assert (cell.bias_ih[:4] == 2.5).all()
    with pytest.raises(BadOption, match=r"^this MinLSTM was made without biases, so no gate's bias can be set$"):
        forget_bias_(MinLSTM(3, 4, bias=False))
    with pytest.raises(BadOption, match=r"^MinGRU has no forget gate whose bias could be set; its blocks are z, n$"):
        forget_bias_(MinGRU(3, 4))
