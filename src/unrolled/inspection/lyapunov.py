r"""Lyapunov exponents of a recurrence: how fast a small change of its state grows or shrinks, in each direction.

    s_t = F(x_t, s_{t-1}),   J_t = ds_t / ds_{t-1}
    J_t Q_{t-1} = Q_t R_t                      (QR; Q_0 orthonormal)
    lambda_i = lim 1/T sum_t log |R_t,ii|      nats a step, the largest first

Benettin, Galgani, Giorgilli & Strelcyn 1980; of recurrent networks Engelken, Wolf & Abbott 2023 (arXiv:2006.02427) and
Vogt, Puelma Touzel, Shlizerman & Lajoie 2022 (arXiv:2006.14123). The state s is all that the cell carries, (h, c) of an
LSTM. Gradients go back by the same Jacobians, transposed: with the largest exponent below 0 they vanish as
exp(lambda_1 k) for almost every start, above 0 they explode. J is never made: J Q is taken column by column, forwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from unrolled import state as states
from unrolled.cells.base import Cell, State
from unrolled.errors import BadOption


def lyapunov_exponents(
    cell: Cell, x: Tensor, state: State | None = None, *, count: int = 4, settle: int = 0, seed: int = 1
) -> Tensor:
    """The leading exponents along what the cell does while it reads.

    Args:
        cell: any recurrence; nothing in it is changed.
        x: (time, batch, input), what it reads.
        state: before the first element; `cell.initial_state` where None.
        count: of exponents, at most the number of the state's units.
        settle: steps at the beginning that are not counted, while the directions turn to where they grow.
        seed: of the directions to begin with.

    Returns:
        (batch, count), nats a step, of each row the largest first, in the cell's dtype.

    Raises `BadOption` where there are fewer steps than that, or more exponents are asked for than there are.
    """
    steps, batch = x.shape[:2]
    if not 0 <= settle < steps:
        raise BadOption(f"settle must be from 0 to {steps - 1}, the steps there are less one, not {settle}")
    running = cell.for_unroll()
    with torch.no_grad():
        given = running.initial_state(batch) if state is None else state
        size = sum(leaf[0].numel() for leaf in states.leaves(given))
        if not 1 <= count <= size:
            raise BadOption(f"count must be from 1 to {size}, the units of the state, not {count}")
        px = running.project(x.flatten(0, 1)).unflatten(0, (steps, batch))
        return exponents_along(running, px.unbind(0), given, count=count, settle=settle, seed=seed)


@torch.no_grad()
def exponents_along(
    cell: Cell, px: Sequence[Tensor], state: State, *, count: int, settle: int = 0, seed: int = 1
) -> Tensor:
    """As `lyapunov_exponents`, of what `project` made already: px of each step, (batch, gates)."""
    batch, size = len(px[0]), sum(leaf[0].numel() for leaf in states.leaves(state))
    draw = torch.Generator().manual_seed(seed)
    begun = torch.randn(batch, size, count, generator=draw, dtype=torch.float64)
    turned = torch.linalg.qr(begun.to(device=px[0].device, dtype=px[0].dtype)).Q
    total = px[0].new_zeros(batch, count)
    for time, given in enumerate(px):
        state, grown = _tick(cell, given, state, turned)
        turned, stretched = torch.linalg.qr(grown)
        if time >= settle:
            total += stretched.diagonal(dim1=1, dim2=2).abs().log()
    return (total / (len(px) - settle)).sort(dim=1, descending=True).values


def _tick(cell: Cell, px: Tensor, state: State, directions: Tensor) -> tuple[State, Tensor]:
    """The next state, and J times each direction. directions: (batch, state, count)."""
    before = states.leaves(state)
    kept = states.nesting(state)

    def function(*leaves: Tensor) -> tuple[Tensor, ...]:
        _, after = cell.step(px, states.nested(kept, leaves))
        return tuple(states.leaves(after))

    sizes = [leaf[0].numel() for leaf in before]

    def along(direction: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        parts = direction.split(sizes, dim=1)
        tangents = tuple(part.reshape(leaf.shape) for part, leaf in zip(parts, before, strict=True))
        pair: Any = torch.func.jvp(function, tuple(before), tangents)
        after, moved = pair
        return torch.cat([m.flatten(1) for m in moved], dim=1), after

    columns, after = [], tuple(before)
    for column in range(directions.shape[2]):
        moved, after = along(directions[:, :, column])
        columns.append(moved)
    return states.nested(kept, after), torch.stack(columns, dim=2)


def spectral_radius(weight: Tensor, names: Sequence[str]) -> dict[str, float]:
    """Of each square block of a recurrent weight, stacked as `Cell.blocks` names them: max |eigenvalue|.

    A linear recurrence with that matrix shrinks what it holds where it is below 1, and grows it above.

    Raises `BadOption` where the blocks are not square.
    """
    rows, columns = weight.shape
    if rows != len(names) * columns:
        raise BadOption(f"{len(names)} square blocks of {columns} columns are {len(names) * columns} rows, not {rows}")
    blocks = weight.detach().double().reshape(len(names), columns, columns)
    return {name: float(torch.linalg.eigvals(block).abs().max()) for name, block in zip(names, blocks, strict=True)}
