"""Chords: their probabilities by enumeration, and what is drawn."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from unrolled.errors import BadOption
from unrolled.layers.nade import NADE, Independent


def made(kind: type, notes: int = 4) -> torch.nn.Module:
    torch.manual_seed(1)
    layer = kind(3, notes, 5) if kind is NADE else kind(3, notes)
    for parameter in layer.parameters():
        torch.nn.init.uniform_(parameter, -1, 1)
    return layer.double()


@pytest.mark.parametrize("kind", [NADE, Independent])
def test_the_probabilities_of_all_chords_sum_to_one(kind: type) -> None:
    layer, h = made(kind), torch.randn(1, 3, dtype=torch.float64)
    chords = torch.tensor(list(product([0.0, 1.0], repeat=4)), dtype=torch.float64)
    total = torch.exp(-layer.losses(layer(h).expand(len(chords), -1), chords)).sum()
    assert total.item() == pytest.approx(1.0)


def test_a_chord_by_hand() -> None:
    layer = made(NADE, 2)
    h, chord = torch.randn(1, 3, dtype=torch.float64), torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    b, c = (h @ layer.biases.weight.T + layer.biases.bias)[0].split([2, 5])
    first = torch.sigmoid(b[0] + layer.above[0] @ torch.sigmoid(c))
    second = torch.sigmoid(b[1] + layer.above[1] @ torch.sigmoid(c + layer.below[0]))
    expected = -(first.log() + (1 - second).log())
    assert layer.losses(layer(h), chord).item() == pytest.approx(expected.item())


@pytest.mark.parametrize("kind", [NADE, Independent])
def test_gradients_are_right(kind: type) -> None:
    layer, chord = made(kind), torch.randint(0, 2, (3, 4), dtype=torch.float64)
    h = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: layer.losses(layer(x), chord), (h,))


@pytest.mark.parametrize("kind", [NADE, Independent])
def test_chords_are_drawn_as_often_as_they_are_probable(kind: type) -> None:
    layer, h = made(kind, 3), torch.randn(1, 3, dtype=torch.float64).expand(20_000, 3)
    torch.manual_seed(2)
    drawn = layer.draw(layer(h), torch.rand(20_000, 3, dtype=torch.float64), 1.0)
    for chord in product([0.0, 1.0], repeat=3):
        wanted = torch.tensor([chord], dtype=torch.float64)
        share = (drawn == wanted).all(1).double().mean().item()
        assert share == pytest.approx(torch.exp(-layer.losses(layer(h[:1]), wanted)).item(), abs=0.015)


def test_notes_that_are_not_allowed_do_not_sound() -> None:
    for kind in (NADE, Independent):
        layer, h = made(kind), torch.randn(50, 3, dtype=torch.float64)
        allowed = torch.tensor([True, False, True, False])
        drawn = layer.draw(layer(h), torch.zeros(50, 4, dtype=torch.float64), 1.0, allowed)
        assert drawn[:, allowed].all()
        assert not drawn[:, ~allowed].any()


def test_no_units_are_refused() -> None:
    with pytest.raises(BadOption, match="chord_size must be 1 or more, not 0"):
        NADE(3, 4, 0)


@pytest.mark.parametrize("kind", [NADE, Independent])
def test_it_begins_with_the_probabilities_that_it_is_told(kind: type) -> None:
    layer, shares = made(kind), torch.tensor([0.1, 0.5, 0.25, 0.9], dtype=torch.float64)
    with torch.no_grad():
        layer.biases.weight.zero_()
        if kind is NADE:
            layer.above.zero_()
    layer.expect(shares)
    chord = torch.tensor([[1.0, 0.0, 1.0, 0.0]], dtype=torch.float64)
    found = torch.exp(-layer.losses(layer(torch.randn(1, 3, dtype=torch.float64)), chord)).item()
    assert found == pytest.approx(0.1 * 0.5 * 0.25 * 0.1)
