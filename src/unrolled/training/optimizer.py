"""Torch's optimizers by name, and what a checkpoint must keep of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from unrolled.training.settings import Settings


def make(layers: Sequence[Sequence[nn.Parameter]], settings: Settings) -> torch.optim.Optimizer:
    """The optimizer that the settings name. Vectors (biases, gains) are not decayed: they cannot overfit much.

    layers: the parameters, from the top of the network to its bottom. `factor` of an optimizer's group is what the
    learning rate of its layer is multiplied by: each layer's is `layer_decay` times that of the one above (Howard &
    Ruder 2018, arXiv:1801.06146, section 3.2).
    """
    groups: list[dict[str, Any]] = []
    for depth, layer in enumerate(layers):
        factor = settings.layer_decay**depth
        learning = [p for p in layer if p.requires_grad]
        matrices, vectors = [p for p in learning if p.dim() > 1], [p for p in learning if p.dim() <= 1]
        groups.append({"params": matrices, "weight_decay": settings.weight_decay, "factor": factor})
        groups.append({"params": vectors, "weight_decay": 0.0, "factor": factor})
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
