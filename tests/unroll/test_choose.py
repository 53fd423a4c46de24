"""Whatever is chosen, the result is the reference's."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from unrolled import lookup
from unrolled import state as states
from unrolled.cells.base import Cell
from unrolled.cells.gru import GRU
from unrolled.cells.lstm import LSTM
from unrolled.kernels import library
from unrolled.unroll import choose, fused, native, scan

kernels = pytest.mark.skipif(library.load() is None, reason=f"there are no compiled kernels: {library.why()}")


class Echo(Cell):
    """A wrapper: what the inner cell says, and its negative. Torch has no kernel for it."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell.input_size, cell.hidden_size)
        self.cell = cell

    def initial_state(self, batch: int) -> states.State:
        return self.cell.initial_state(batch)

    def project(self, x: Tensor) -> Tensor:
        return self.cell.project(x)

    def gates(self, px: Tensor, state: states.State) -> tuple:
        return self.cell.gates(px, state)

    def step(self, px: Tensor, state: states.State) -> tuple[Tensor, states.State]:
        output, state = self.cell.step(px, state)
        return torch.cat([output, -output], dim=-1), state

    def reset_parameters(self) -> None:
        self.cell.reset_parameters()


class Halved(Echo):
    """A wrapper that draws its weights for an unroll: afterwards it is a plain cell, which torch has a kernel for."""

    def for_unroll(self) -> Cell:
        cell = LSTM(self.input_size, self.hidden_size)
        cell.load_state_dict({name: value / 2 for name, value in self.cell.state_dict().items()})
        return cell


def _watched(seen: list[str], name: str, plain: Callable, *args: object) -> object:
    found = plain(*args)
    if found is not None:  # our kernels say so where they do not run what they are given
        seen.append(name)
    return found


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    seen: list[str] = []
    for way, function in ((fused, "attempt"), (native, "unroll"), (scan, "unroll")):
        name = way.__name__.rpartition(".")[2]

        plain = getattr(way, function)
        monkeypatch.setattr(way, function, partial(_watched, seen, name, plain))
    return seen


@pytest.fixture
def x() -> PackedSequence:
    return pack_sequence([torch.randn(n, 3) for n in (7, 4, 4, 1)])


def agree(cell: Cell, x: PackedSequence, reference: Cell | None = None) -> None:
    outputs, final = choose.unroll(cell, x)
    wanted, wanted_final = scan.unroll(reference or cell, x)
    torch.testing.assert_close(outputs.data, wanted.data)
    for found, right in zip(states.leaves(final), states.leaves(wanted_final), strict=True):
        torch.testing.assert_close(found, right)


@pytest.mark.parametrize("name", lookup.names("unrolled.cells", Cell))
def test_every_cell_gives_what_the_reference_gives(name: str, x: PackedSequence) -> None:
    agree(lookup.find("unrolled.cells", name, Cell, "cell")(3, 4), x)


@pytest.mark.parametrize("cell", [LSTM, GRU])
def test_torchs_kernels_run_what_they_can_and_ours_cannot(
    cell: type[Cell], x: PackedSequence, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    choose.unroll(cell(3, 4, dtype=torch.float64), x._replace(data=x.data.double()))
    assert calls == ["native"]
    monkeypatch.setattr(fused, "runs", lambda *_: False)
    choose.unroll(cell(3, 4), x)
    assert calls == ["native", "native"]


@kernels
@pytest.mark.parametrize("cell", [LSTM, GRU])
@pytest.mark.parametrize("gradients", [False, True])
def test_our_kernels_run_what_they_can(cell: type[Cell], gradients: bool, x: PackedSequence, calls: list[str]) -> None:
    with torch.set_grad_enabled(gradients):
        choose.unroll(cell(3, 4), x)
        short = choose.unroll(cell(3, 4), pack_sequence([torch.randn(2, 3)]))
    # Two elements do not pay for laying the weights out, which in inference is done once.
    assert calls == ["fused", "native" if gradients else "fused"]
    assert short[0].data.shape == (2, 4)


def test_a_wrapper_goes_to_the_reference(x: PackedSequence, calls: list[str]) -> None:
    outputs, _ = choose.unroll(Echo(LSTM(3, 4)), x)
    assert calls == ["scan"]
    assert outputs.data.shape == (16, 8)


def test_a_wrapper_that_draws_a_plain_cell_goes_to_torchs_kernels(x: PackedSequence, calls: list[str]) -> None:
    cell = Halved(LSTM(3, 4))
    choose.unroll(cell, x)
    assert calls == ["fused" if library.load() else "native"]
    agree(cell, x, reference=cell.for_unroll())


def test_the_given_state_is_begun_with(x: PackedSequence) -> None:
    cell = GRU(3, 4)
    state = torch.randn(4, 4)
    assert torch.allclose(choose.unroll(cell, x, state)[1], scan.unroll(cell, x, state)[1], atol=1e-6)
    assert not torch.allclose(choose.unroll(cell, x, state)[1], choose.unroll(cell, x)[1], atol=1e-3)


@pytest.mark.parametrize("name", lookup.names("unrolled.cells", Cell))
def test_a_step_without_gradients_is_the_cell_s_own(name: str) -> None:
    """By the kernels, where these know the cell; in float64 they do not."""
    for dtype, within in ((torch.float32, 2e-6), (torch.float64, 0)):
        cell = lookup.find("unrolled.cells", name, Cell, "cell")(40, 64).to(dtype)
        x, state = torch.randn(5, 40, dtype=dtype), states.tree_map(torch.randn_like, cell.initial_state(5))
        with torch.no_grad():
            output, after = choose.step(cell, x, state)
            right, wanted = cell.step(cell.project(x), state)
        assert type(after) is type(wanted)
        torch.testing.assert_close(output, right, rtol=0, atol=within)
        torch.testing.assert_close(states.leaves(after), states.leaves(wanted), rtol=0, atol=within)
        output, _ = choose.step(cell, x.requires_grad_(), state)
        assert output.requires_grad
