"""A transducer's network: its equations, and that all at once is the same as step by step."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from unrolled.cells.base import Cell
from unrolled.layers import transducer
from unrolled.layers.stack import make_cell, make_stack
from unrolled.layers.transducer import TransducerNetwork, TransducerSizes
from unrolled.lookup import names

SYMBOLS, HEARD, JOINT = 3, 4, 5
CELLS = names("unrolled.cells", Cell)


def made(cell: str = "gru", dropout: float = 0.0, layers: int = 1) -> TransducerNetwork:
    torch.manual_seed(1)

    def make(size: int) -> Cell:
        return make_cell(cell, size, 6, initialisation="orthogonal", forget_bias=1.0)

    stack = make_stack(2, make, layers=layers, directions="forward", connections="plain", dropout=dropout)
    sizes = TransducerSizes(HEARD, SYMBOLS, 2, JOINT)
    return TransducerNetwork(sizes, stack, vector_dropout=dropout, dropout=dropout).double().eval()


def heard() -> PackedSequence:
    torch.manual_seed(2)
    return pack_sequence([torch.randn(n, HEARD, dtype=torch.float64) for n in (2, 5, 3)], enforce_sorted=False)


def targets() -> list[Tensor]:
    return [torch.tensor([0, 2]), torch.tensor([1]), torch.tensor([], dtype=torch.long)]


@pytest.mark.parametrize("cell", CELLS)
def test_what_is_said_symbol_by_symbol_is_what_is_read_at_once(cell: str) -> None:
    network = made(cell, layers=2)
    for target, whole in zip(targets(), network.read(targets()), strict=True):
        state, found = network.initial_state(1), []
        for symbol in (network.blank, *target.tolist()):
            said, state = network.say(torch.tensor([symbol]), state)
            found.append(said)
        torch.testing.assert_close(torch.cat(found), whole)


def test_the_loss_is_that_of_the_equations() -> None:
    network = made()
    found = network.losses(heard(), targets())
    for row, (f, g, target) in enumerate(zip(network.hear(heard()), network.read(targets()), targets(), strict=True)):
        log_p = {}
        for t in range(len(f)):
            for u in range(len(g)):
                z = network.softmax.weight @ (f[t] + g[u]).tanh() + network.softmax.bias
                log_p[t, u] = z.log_softmax(0)
                assert torch.allclose(network.join(f[t : t + 1], g[u : u + 1])[0], log_p[t, u])
        # Forward, eq. 16 of Graves 2012, on plain numbers.
        a = {(0, 0): torch.tensor(1.0, dtype=torch.float64)}
        for t in range(len(f)):
            for u in range(len(g)):
                if t or u:
                    quiet = a[t - 1, u] * log_p[t - 1, u][network.blank].exp() if t else 0.0
                    spoken = a[t, u - 1] * log_p[t, u - 1][target[u - 1]].exp() if u else 0.0
                    a[t, u] = torch.as_tensor(quiet + spoken)
        last = len(f) - 1, len(g) - 1
        expected = -(a[last] * log_p[last][network.blank].exp()).log()
        torch.testing.assert_close(found[row], expected)


@pytest.mark.parametrize("places", [1, 10, 14])
def test_some_rows_at_a_time_give_the_losses_and_gradients_of_all_at_once(
    places: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[list[Tensor]] = []
    weights = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)
    for most in (10_000, places):
        monkeypatch.setattr(transducer, "AT_ONCE", most)
        network, seen = made(), list[int]()
        network.softmax.register_forward_hook(lambda _, given, __, seen=seen: seen.append(len(given[0])))
        losses = network.losses(heard(), targets())
        assert all(size <= max(most, 10) for size in seen)
        assert sum(seen) == 2 * 3 + 5 * 2 + 3 * 1
        (losses @ weights).backward()
        with torch.no_grad():
            assert torch.equal(network.losses(heard(), targets()), losses)
        found.append([losses.detach(), *(p.grad for p in network.parameters() if p.grad is not None)])
    assert len(found[0]) == len(found[1]) == 1 + len(list(made().parameters()))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_something_is_dropped_in_training_alone() -> None:
    network = made(dropout=0.5)
    still = network.losses(heard(), targets())
    assert torch.equal(network.losses(heard(), targets()), still)
    network.train()
    assert not torch.equal(network.losses(heard(), targets()), still)


def test_every_weight_learns() -> None:
    network = made()
    network.losses(heard(), targets()).sum().backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name
