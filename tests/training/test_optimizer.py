"""Torch's optimizers: which weights decay, one step by hand, and the state that a checkpoint keeps."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from unrolled.training import optimizer
from unrolled.training.settings import Settings

KINDS = [("adam", {}), ("adamw", {}), ("sgd", {}), ("sgd", {"momentum": 0.9})]


def model() -> nn.Linear:
    torch.manual_seed(3)
    return nn.Linear(3, 2)


def step(of: nn.Linear, engine: torch.optim.Optimizer, seed: int) -> None:
    torch.manual_seed(seed)
    engine.zero_grad()
    of(torch.randn(4, 3)).square().sum().backward()
    engine.step()


def test_matrices_decay_and_vectors_do_not() -> None:
    layer = model()
    groups = optimizer.make([list(layer.parameters())], Settings(weight_decay=0.25)).param_groups
    assert [(group["weight_decay"], [p.dim() for p in group["params"]]) for group in groups] == [
        (0.25, [2]),
        (0.0, [1]),
    ]


def test_frozen_parameters_are_left_out() -> None:
    layer = model()
    layer.weight.requires_grad_(False)
    engine = optimizer.make([list(layer.parameters())], Settings())
    assert [p for group in engine.param_groups for p in group["params"]] == [layer.bias]


def test_gradients_smaller_than_epsilon_are_faint_and_those_that_are_not_there_do_not_count() -> None:
    w = nn.Parameter(torch.ones(1, 5))
    engine = optimizer.make([[w]], Settings(epsilon=1e-6))
    for sign in (1, -1, 1):  # the root of the mean of their squares is what counts, not the mean
        w.grad = sign * torch.tensor([[1.0, 2e-6, 5e-7, 1e-9, 0.0]])
        engine.step()
    assert optimizer.faint(engine, [("w", w)]) == {"w": pytest.approx(2 / 5)}


def test_without_squares_nothing_is_faint() -> None:
    layer = model()
    engine = optimizer.make([list(layer.parameters())], Settings(optimizer="sgd", momentum=0.9))
    step(layer, engine, seed=1)
    assert optimizer.faint(engine, layer.named_parameters()) == {}


def test_a_step_of_a_faint_gradient_is_as_long_as_epsilon_lets_it_be() -> None:
    lengths = []
    for epsilon in (1e-8, 1e-12):
        w = nn.Parameter(torch.tensor([[0.0]], dtype=torch.float64))
        engine = optimizer.make([[w]], Settings(optimizer="adam", learning_rate=0.1, weight_decay=0.0, epsilon=epsilon))
        w.grad = torch.tensor([[2e-9]], dtype=torch.float64)
        engine.step()
        lengths.append(-w.item())
    assert lengths == [pytest.approx(0.1 * 2e-9 / 1.2e-8), pytest.approx(0.1 * 2e-9 / 2.001e-9)]


@pytest.mark.parametrize(("name", "more"), KINDS)
def test_the_first_step_by_hand(name: str, more: dict[str, Any]) -> None:
    settings = Settings(optimizer=name, learning_rate=0.1, weight_decay=0.5, **more)
    w = nn.Parameter(torch.tensor([[2.0]], dtype=torch.float64))
    engine = optimizer.make([[w]], settings)
    w.grad = torch.tensor([[3.0]], dtype=torch.float64)
    engine.step()
    expected = {
        # The first moments, corrected for their start at zero, are the gradient itself: a step of rate * sign(g).
        "adamw": 2.0 * (1 - 0.1 * 0.5) - 0.1 * 3.0 / (math.sqrt(3.0**2) + 1e-8),
        "adam": 2.0 - 0.1 * (3.0 + 0.5 * 2.0) / (math.sqrt(4.0**2) + 1e-8),
        "sgd": 2.0 - 0.1 * (3.0 + 0.5 * 2.0),
    }
    assert w.item() == pytest.approx(expected[name], abs=1e-9)


def test_the_second_step_of_adam_by_hand() -> None:
    # Kingma & Ba 2015, algorithm 1, with betas 0.9 and 0.99.
    w = nn.Parameter(torch.tensor([[1.0]], dtype=torch.float64))
    engine = optimizer.make([[w]], Settings(optimizer="adam", learning_rate=0.1, weight_decay=0.0))
    by_hand, m, v = 1.0, 0.0, 0.0
    for t, g in ((1, 2.0), (2, -1.0)):
        w.grad = torch.tensor([[g]], dtype=torch.float64)
        engine.step()
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g * g
        by_hand -= 0.1 * (m / (1 - 0.9**t)) / (math.sqrt(v / (1 - 0.99**t)) + 1e-8)
    assert w.item() == pytest.approx(by_hand, abs=1e-12)


@pytest.mark.parametrize(("name", "more"), KINDS)
@pytest.mark.parametrize("before", [0, 1, 4])
def test_a_restored_optimizer_takes_the_same_steps_bit_for_bit(name: str, more: dict[str, Any], before: int) -> None:
    settings = Settings(optimizer=name, learning_rate=0.1, **more)
    first = model()
    engine = optimizer.make([list(first.parameters())], settings)
    for k in range(before):
        step(first, engine, k)
    kept = {key: value.clone() for key, value in optimizer.tensors(engine).items()}
    second = model()
    second.load_state_dict(first.state_dict())
    again = optimizer.make([list(second.parameters())], settings)
    optimizer.restore(again, kept)
    for k in range(before, before + 3):
        step(first, engine, k)
        step(second, again, k)
        assert torch.equal(first.weight, second.weight)
        assert torch.equal(first.bias, second.bias)


def test_the_state_of_adam_has_a_count_and_two_moments_for_each_parameter() -> None:
    layer = model()
    engine = optimizer.make([list(layer.parameters())], Settings())
    step(layer, engine, 0)
    found: dict[str, Tensor] = optimizer.tensors(engine)
    assert {key.split(".")[1] for key in found} == {"step", "exp_avg", "exp_avg_sq"}
    assert len(found) == 6
    assert float(found["0.step"]) == 1.0
    assert torch.equal(found["0.exp_avg"], 0.1 * layer.weight.grad)  # type: ignore[operator]


def test_each_layer_below_learns_more_slowly() -> None:
    layers = [[nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2))], [], [nn.Parameter(torch.ones(3, 3))]]
    groups = optimizer.make(layers, Settings(layer_decay=0.5, weight_decay=0.1)).param_groups
    assert [group["factor"] for group in groups] == [1, 1, 0.25]
    assert [group["weight_decay"] for group in groups] == [0.1, 0, 0.1]
