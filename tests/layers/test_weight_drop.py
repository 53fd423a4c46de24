"""DropConnect: one draw an unroll, gradients to the true weights, nothing kept in between."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

from unrolled.cells.lstm import LSTM
from unrolled.errors import BadOption
from unrolled.layers.weight_drop import WeightDrop
from unrolled.layers.zoneout import Zoneout
from unrolled.unroll.scan import unroll


def batch(dtype=torch.float32):
    return pack_sequence([torch.randn(n, 3, dtype=dtype) for n in (5, 4, 2)])


def test_an_unroll_is_that_of_a_cell_with_some_weights_at_0():
    cell, x = LSTM(3, 4), batch()
    torch.manual_seed(7)
    outputs, state = unroll(WeightDrop(cell, 0.5), x)
    torch.manual_seed(7)
    thinned = copy.deepcopy(cell)
    with torch.no_grad():
        thinned.weight_hh.mul_(torch.empty_like(cell.weight_hh).bernoulli_(0.5) * 2)
    assert 0.2 < float((thinned.weight_hh == 0).float().mean()) < 0.8
    expected, expected_state = unroll(thinned, x)
    torch.testing.assert_close(outputs.data, expected.data)
    torch.testing.assert_close(state, expected_state)


def test_all_time_steps_of_an_unroll_share_one_draw():
    cell = WeightDrop(LSTM(3, 4), 0.5)
    one = cell.for_unroll()
    px, state = one.project(torch.randn(2, 3)), (torch.randn(2, 4), torch.randn(2, 4))
    assert torch.equal(one.step(px, state)[0], one.step(px, state)[0])
    assert not torch.equal(one.step(px, state)[0], cell.for_unroll().step(px, state)[0])
    assert one.for_unroll() is one


def test_two_unrolls_draw_twice_and_evaluation_draws_nothing():
    cell, x = LSTM(3, 4), batch()
    dropped = WeightDrop(cell, 0.5)
    assert not torch.equal(unroll(dropped, x)[0].data, unroll(dropped, x)[0].data)
    dropped.eval()
    assert dropped.for_unroll() is cell
    assert torch.equal(unroll(dropped, x)[0].data, unroll(cell, x)[0].data)


def test_only_the_named_weights_are_dropped():
    one = WeightDrop(LSTM(3, 4), 0.5, ["weight_ih"]).for_unroll()
    assert (one.weight_ih == 0).any()
    assert not (one.weight_hh == 0).any()


def test_gradients_reach_the_true_weights_and_only_where_they_were_kept():
    cell, x = LSTM(3, 4), batch()
    torch.manual_seed(3)
    unroll(WeightDrop(cell, 0.5), x)[0].data.sum().backward()
    torch.manual_seed(3)
    dropped = WeightDrop(cell, 0.5).for_unroll().weight_hh == 0
    assert dropped.any()
    assert (cell.weight_hh.grad[dropped] == 0).all()
    assert (cell.weight_hh.grad[~dropped] != 0).all()
    assert all(p.grad is not None for p in cell.parameters())


def test_gradients_are_right():
    dropped, x = WeightDrop(LSTM(3, 2).double(), 0.5), batch(torch.double)

    class Run(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = dropped

        def forward(self, data):
            torch.manual_seed(2)
            outputs, state = unroll(self.cell, x._replace(data=data))
            return outputs.data, *state

    def run(data, weight):
        return torch.func.functional_call(Run(), {"cell.cell.weight_hh": weight}, (data,))

    weight = dropped.cell.weight_hh.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(run, (x.data.requires_grad_(), weight))
    assert torch.autograd.gradgradcheck(run, (x.data, weight))


def test_nothing_is_kept_and_copies_are_whole():
    cell = LSTM(3, 4)
    dropped = WeightDrop(cell, 0.5)
    before = {name: value.clone() for name, value in dropped.state_dict().items()}
    names = set(vars(cell)), set(vars(dropped))
    unroll(dropped, batch())[0].data.sum().backward()
    assert (set(vars(cell)), set(vars(dropped))) == names
    assert list(before) == [f"cell.{name}" for name in cell.state_dict()]
    assert all(torch.equal(before[name], value) for name, value in dropped.state_dict().items())
    assert "weight_hh" in dict(cell.named_parameters())
    for copied in (copy.deepcopy(dropped), pickle.loads(pickle.dumps(dropped))):
        assert torch.equal(copied.cell.weight_hh, cell.weight_hh)
        assert copied.cell.weight_hh is not cell.weight_hh


def test_it_is_a_cell_that_can_be_stepped_by_hand():
    cell = LSTM(3, 4)
    dropped = WeightDrop(cell, 0.5)
    assert (dropped.input_size, dropped.hidden_size, dropped.output_size, dropped.blocks) == (3, 4, 4, cell.blocks)
    px, state = dropped.project(torch.randn(2, 3)), (torch.randn(2, 4), torch.randn(2, 4))
    assert not torch.equal(dropped.step(px, state)[0], dropped.step(px, state)[0])
    assert not torch.equal(dropped.gates(px, state).i, cell.gates(px, state).i)
    dropped.eval()
    assert torch.equal(dropped.step(px, state)[0], cell.step(px, state)[0])
    assert torch.equal(dropped.initial_state(2)[0], torch.zeros(2, 4))
    before = cell.weight_hh.detach().clone()
    dropped.reset_parameters()
    assert not torch.equal(cell.weight_hh, before)


def test_a_weight_that_the_cell_does_not_have_is_refused():
    with pytest.raises(BadOption, match="LSTM has no weight 'weight_xx' to drop; it has weight_ih, weight_hh, bias_ih"):
        WeightDrop(LSTM(2, 2), 0.5, ["weight_xx"])
    with pytest.raises(BadOption, match="Zoneout has no weight 'weight_hh' to drop; it has none"):
        WeightDrop(Zoneout(LSTM(2, 2), 0.1), 0.5)
    with pytest.raises(BadOption, match="a dropout probability must be at least 0 and below 1, not 1"):
        WeightDrop(LSTM(2, 2), 1.0)
