"""A recurrence whose gradients are known: no nonlinearity, h_t = px_t + A h_{t-1}."""

from __future__ import annotations

import torch
from torch import Tensor

from unrolled.cells.elman import Elman, ElmanGates


class Linear(Elman):
    """The simple recurrent cell without its nonlinearity."""

    def gates(self, px: Tensor, state: Tensor) -> ElmanGates:
        return ElmanGates(px + nn_linear(state, self.weight_hh))


def nn_linear(x: Tensor, weight: Tensor) -> Tensor:
    return torch.nn.functional.linear(x, weight)


def scaled_orthogonal(units: int, scale: float) -> Linear:
    """A = scale * Q, Q orthogonal, in float64."""
    cell = Linear(3, units).double()
    with torch.no_grad():
        torch.nn.init.orthogonal_(cell.weight_hh)
        cell.weight_hh.mul_(scale)
    return cell
