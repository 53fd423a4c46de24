"""Torch's optimizers by name, and what a checkpoint must keep of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from unrolled.training.settings import Settings


def make(parameters: Iterable[nn.Parameter], settings: Settings) -> torch.optim.Optimizer:
    """The optimizer that the settings name. Vectors (biases, gains) are not decayed: they cannot overfit much."""
    every = [p for p in parameters if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in every if p.dim() > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in every if p.dim() <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    rate = settings.learning_rate
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=rate, momentum=settings.momentum, fused=True)
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    # Betas 0.9, 0.99: recurrent networks' gradients change scale quickly (Dozat & Manning 2017 use 0.9, 0.9).
    return kind(groups, lr=rate, betas=(0.9, 0.99), eps=1e-8, fused=True)


def tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's state by name, `<parameter's place>.<what>`, such as `12.exp_avg`."""
    return {
        f"{place}.{name}": value
        for place, entry in optimizer.state_dict()["state"].items()
        for name, value in entry.items()
        if isinstance(value, Tensor)
    }


def restore(optimizer: torch.optim.Optimizer, kept: dict[str, Tensor]) -> None:
    """Put the state that `tensors` gave back into a new optimizer for the same parameters."""
    state: dict[int, dict[str, Any]] = {}
    for key, value in kept.items():
        place, name = key.split(".", 1)
        state.setdefault(int(place), {})[name] = value
    whole = optimizer.state_dict()
    optimizer.load_state_dict({"state": state, "param_groups": whole["param_groups"]})
