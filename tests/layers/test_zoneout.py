"""Zoneout against its equations, on any cell's state."""

from __future__ import annotations

import copy
from typing import NamedTuple

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

from unrolled.cells.base import Cell
from unrolled.cells.lstm import LSTM
from unrolled.errors import BadOption
from unrolled.layers.weight_drop import WeightDrop
from unrolled.layers.zoneout import Zoneout
from unrolled.unroll.scan import unroll


class Nothing(NamedTuple):
    h: torch.Tensor


class Nested(Cell):
    """Counts up in a nested state; its output is no part of it."""

    blocks = ()

    def initial_state(self, batch):
        return {"a": torch.zeros(batch, 3), "b": [torch.zeros(batch, 2), (torch.zeros(batch, 1),)]}

    def project(self, x):
        return x

    def gates(self, px, state):
        return Nothing(px)

    def step(self, px, state):
        a, (b, (c,)) = state["a"], state["b"]
        return px * 1, {"a": a + 1, "b": [b + 10, (c + 100,)]}

    def reset_parameters(self):
        pass


def a_state(batch=64):
    return torch.randn(batch, 5), torch.randn(batch, 5)


def test_in_training_each_unit_is_the_old_or_the_new_one():
    cell = LSTM(3, 5)
    zoned, px, (h, c) = Zoneout(cell, (0.25, 0.5)), cell.project(torch.randn(2000, 3)), a_state(2000)
    output, (h1, c1) = zoned.step(px, (h, c))
    _, (h_new, c_new) = cell.step(px, (h, c))
    for mixed, new, old, p in [(h1, h_new, h, 0.25), (c1, c_new, c, 0.5)]:
        kept = mixed == old
        assert torch.equal(mixed, torch.where(kept, old, new))
        # 10,000 draws: the standard error is at most 0.005.
        assert abs(float(kept.float().mean()) - p) < 0.03
    assert torch.equal(output, h1)


def test_evaluation_gives_the_expectation():
    cell = LSTM(3, 5)
    zoned, px, (h, c) = Zoneout(cell, [0.1, 0.4]).eval(), cell.project(torch.randn(64, 3)), a_state()
    output, (h1, c1) = zoned.step(px, (h, c))
    _, (h_new, c_new) = cell.step(px, (h, c))
    torch.testing.assert_close(h1, 0.1 * h + 0.9 * h_new)
    torch.testing.assert_close(c1, 0.4 * c + 0.6 * c_new)
    assert torch.equal(output, h1)


@pytest.mark.parametrize("training", [True, False])
def test_with_probability_0_it_is_the_cell_and_with_1_nothing_moves(training):
    cell = LSTM(3, 5)
    x = pack_sequence([torch.randn(4, 3), torch.randn(2, 3)])
    plain, final = unroll(cell, x)
    zoned, zoned_final = unroll(Zoneout(cell, 0.0).train(training), x)
    torch.testing.assert_close(zoned.data, plain.data)
    torch.testing.assert_close(zoned_final, final)
    frozen, _ = unroll(Zoneout(cell, 1.0).train(training), x)
    assert (frozen.data == 0).all()


def test_any_nesting_of_the_state_is_followed():
    zoned = Zoneout(Nested(2, 2), [0.0, 1.0, 0.5]).eval()
    output, state = zoned.step(torch.ones(4, 2), zoned.initial_state(4))
    assert (state["a"] == 1).all()
    assert (state["b"][0] == 0).all()
    assert (state["b"][1][0] == 50).all()
    assert (output == 1).all()


def test_it_is_a_cell_like_the_one_inside():
    cell = LSTM(3, 5)
    zoned = Zoneout(cell, 0.5)
    assert (zoned.input_size, zoned.hidden_size, zoned.output_size, zoned.blocks) == (3, 5, 5, cell.blocks)
    px, state = cell.project(torch.randn(2, 3)), cell.initial_state(2)
    assert torch.equal(zoned.gates(px, state).f, cell.gates(px, state).f)
    copied = copy.deepcopy(zoned)
    assert copied.cell is not cell
    assert list(copied.state_dict()) == [f"cell.{name}" for name in cell.state_dict()]
    before = cell.weight_hh.detach().clone()
    zoned.reset_parameters()
    assert not torch.equal(cell.weight_hh, before)


@pytest.mark.parametrize("training", [True, False])
def test_gradients_pass(training):
    zoned = Zoneout(LSTM(2, 3).double(), 0.3).train(training)

    def run(x, weight):
        torch.manual_seed(1)
        packed = pack_sequence([x[:3], x[3:]])
        outputs, state = torch.func.functional_call(Unrolled(zoned), {"cell.cell.weight_hh": weight}, (packed,))
        return outputs.data, *state

    x = torch.randn(5, 2, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(run, (x, zoned.cell.weight_hh.detach().clone().requires_grad_()))


class Unrolled(torch.nn.Module):
    def __init__(self, cell):
        super().__init__()
        self.cell = cell

    def forward(self, x):
        return unroll(self.cell, x)


def test_zoneout_around_weight_drop_still_draws_once_an_unroll():
    zoned = Zoneout(WeightDrop(LSTM(3, 5), 0.5), 0.2)
    one = zoned.for_unroll()
    assert one is not zoned
    assert one.p == zoned.p
    assert one.cell.weight_hh is one.for_unroll().cell.weight_hh
    assert isinstance(zoned.cell, WeightDrop)
    assert Zoneout(LSTM(3, 5), 0.2).for_unroll().p == (0.2, 0.2)


@pytest.mark.parametrize("p", [-0.1, 1.1])
def test_a_probability_outside_of_0_to_1_is_refused(p):
    with pytest.raises(BadOption, match=f"a zoneout probability must be from 0 to 1, not {p}"):
        Zoneout(LSTM(2, 2), p)


def test_the_number_of_probabilities_must_be_that_of_the_state():
    with pytest.raises(BadOption, match="3 zoneout probabilities for the 2 state tensors of LSTM"):
        Zoneout(LSTM(2, 2), [0.1, 0.1, 0.1])
