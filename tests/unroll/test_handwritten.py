"""The gradients through time that are written out must be those that torch derives."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_sequence

from unrolled.cells.base import Cell
from unrolled.cells.elman import Elman
from unrolled.cells.gru import GRU
from unrolled.unroll import native, scan

CELLS = {"gru": GRU, "tanh": Elman, "relu": lambda *sizes, **o: Elman(*sizes, nonlinearity="relu", **o)}


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", CELLS)
def test_gradients_and_second_derivatives_are_those_of_finite_differences(name: str, bias: bool) -> None:
    torch.manual_seed(1)
    cell: Cell = CELLS[name](2, 3, bias=bias, dtype=torch.float64)
    x = pack_sequence([torch.randn(n, 2, dtype=torch.float64) for n in (4, 2, 2, 1)])
    names = list(dict(cell.named_parameters()))

    def outputs(data: Tensor, h0: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor]:
        given = [*weights[:2], *weights[2:]]
        read, (last,) = native.run(native._kernel(cell), given, x._replace(data=data), (h0,))
        return read, last

    assert names == ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if bias else [])]
    inputs = [x.data, torch.randn(4, 3, dtype=torch.float64), *(p.detach() for p in cell.parameters())]
    inputs = [t.clone().requires_grad_() for t in inputs]
    assert torch.autograd.gradcheck(outputs, inputs)
    assert torch.autograd.gradgradcheck(outputs, inputs)


@pytest.mark.parametrize("name", CELLS)
def test_long_ragged_batches_agree_with_the_reference(name: str) -> None:
    cell = CELLS[name](3, 20)
    x = pack_sequence([torch.randn(n, 3) for n in (120, 77, 77, 5, 1)])
    found = torch.autograd.grad(native.unroll(cell, x)[0].data.sum(), list(cell.parameters()))
    wanted = torch.autograd.grad(scan.unroll(cell, x)[0].data.sum(), list(cell.parameters()))
    for ours, right in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, right, rtol=1e-5, atol=1e-5 * float(right.abs().max()))


def test_a_gradient_of_the_last_state_alone_reaches_every_row() -> None:
    cell, x = GRU(3, 4), pack_sequence([torch.randn(n, 3) for n in (5, 3, 1)])
    data = x.data.clone().requires_grad_()
    _, last = native.unroll(cell, x._replace(data=data))
    (gradient,) = torch.autograd.grad(last.sum(), data)
    assert bool((gradient != 0).any(dim=1).all())


def test_memory_that_is_kept_is_freed_with_the_graph() -> None:
    cell, x = GRU(3, 4), pack_sequence([torch.randn(n, 3) for n in (5, 3, 1)])
    loss = native.unroll(cell, x)[0].data.sum()
    loss.backward()
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()
