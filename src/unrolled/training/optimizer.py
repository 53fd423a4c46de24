"""Torch's optimizers by name, and what a checkpoint must keep of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
        shared = {"factor": factor, "lr": settings.learning_rate * factor}
        groups.append({"params": matrices, "weight_decay": settings.weight_decay, **shared})
        groups.append({"params": vectors, "weight_decay": 0.0, **shared})
    groups = [group for group in groups if group["params"]]
    rate = settings.learning_rate
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=rate, momentum=settings.momentum, fused=True)
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    # Betas 0.9, 0.99: recurrent networks' gradients change scale quickly (Dozat & Manning 2017 use 0.9, 0.9).
    return kind(groups, lr=rate, betas=(0.9, 0.99), eps=settings.epsilon, fused=True)


def faint(optimizer: torch.optim.Optimizer, parameters: Iterable[tuple[str, nn.Parameter]]) -> dict[str, float]:
    """By a parameter's name, the share of its gradients that Adam's epsilon outweighs, in the root mean square.

    Their steps are less than half as long as the learning rate asks for (Kingma & Ba 2015, algorithm 1). What has had
    no gradient at all is not counted. Nothing of parameters that the optimizer, being another one, keeps no squares of.
    """
    names = {parameter: name for name, parameter in parameters}
    shares = {}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            kept = optimizer.state.get(parameter, {})
            if "exp_avg_sq" in kept:
                corrected = kept["exp_avg_sq"] / (1 - group["betas"][1] ** float(kept["step"]))
                under = (corrected > 0) & (corrected < group["eps"] ** 2)
                shares[names[parameter]] = float(under.float().mean())
    return shares


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
