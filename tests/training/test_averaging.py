"""Averages of the weights: by hand, and out of the way again."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from unrolled.training import averaging
from unrolled.training.settings import Settings

ALONG_THE_WAY = [1.0, 5.0, 2.0, 8.0, -3.0]


class One(nn.Module):
    """A single weight."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(1))

    def become(self, value: float) -> None:
        with torch.no_grad():
            self.w.fill_(value)


def carried(model: One, average: averaging.Average) -> float:
    with average.swapped():
        return model.w.item()


def test_no_average_is_the_weights_as_they_are() -> None:
    model = One()
    average = averaging.make(model, Settings(averaging="none"))
    for value in ALONG_THE_WAY:
        model.become(value)
        average.update()
        average.checked(better=False, run=99)
        assert carried(model, average) == value


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.9])
def test_exponential_by_hand(decay: float) -> None:
    model = One()
    average = averaging.make(model, Settings(averaging="exponential", average_decay=decay))
    by_hand = None
    for n, value in enumerate(ALONG_THE_WAY, start=1):
        model.become(value)
        average.update()
        d = min(decay, (1 + n) / (10 + n))
        by_hand = value if by_hand is None else d * by_hand + (1 - d) * value
        assert carried(model, average) == pytest.approx(by_hand, rel=1e-6)


def test_triggered_is_the_plain_mean_since_the_figure_stopped_rising() -> None:
    model = One()
    average = averaging.make(model, Settings(averaging="triggered"))
    model.become(100.0)
    average.update()
    for run in (0, 1, 2):  # a better figure, then two checks without one: not yet
        average.checked(better=run == 0, run=run)
        average.update()
        assert carried(model, average) == 100.0
    average.checked(better=False, run=3)
    assert carried(model, average) == 100.0  # nothing to average yet: the weights themselves
    for n, value in enumerate(ALONG_THE_WAY, start=1):
        model.become(value)
        average.update()
        assert carried(model, average) == pytest.approx(sum(ALONG_THE_WAY[:n]) / n, rel=1e-6)
    average.checked(better=True, run=0)  # once begun it goes on
    average.checked(better=False, run=3)  # and does not begin anew
    model.become(11.0)
    average.update()
    assert carried(model, average) == pytest.approx((sum(ALONG_THE_WAY) + 11) / 6, rel=1e-6)


@pytest.mark.parametrize("kind", ["none", "exponential", "triggered"])
def test_the_own_weights_come_back_bit_for_bit(kind: str) -> None:
    model = One()
    average = averaging.make(model, Settings(averaging=kind))
    average.checked(better=False, run=3)
    own = torch.tensor([0.1])
    for value in (3.0, float(own)):
        model.become(value)
        average.update()
    storage = model.w.data_ptr()
    with average.swapped():
        assert (model.w.item() == own.item()) == (kind == "none")
    assert torch.equal(model.w, own)
    assert model.w.data_ptr() == storage  # the optimizer still holds the same tensor

    def leave() -> None:
        with average.swapped():
            raise KeyError("in the middle of a check")

    with pytest.raises(KeyError):
        leave()
    assert torch.equal(model.w, own)


def test_the_average_is_not_changed_by_being_looked_at() -> None:
    model = One()
    average = averaging.make(model, Settings(averaging="exponential"))
    for value in (1.0, 2.0):
        model.become(value)
        average.update()
    before = carried(model, average)
    assert carried(model, average) == before


def test_no_gradient_flows_into_an_average() -> None:
    model = One()
    average = averaging.make(model, Settings(averaging="exponential"))
    for value in (1.0, 2.0):
        model.become(value)
        average.update()
    assert not any(value.requires_grad for value in average.values.values())
