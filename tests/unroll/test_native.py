"""Torch's kernels must give what the reference gives: outputs, state, every gradient, second derivatives."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from unrolled import state as states
from unrolled.cells.base import Cell
from unrolled.cells.elman import Elman
from unrolled.cells.gru import GRU
from unrolled.cells.lstm import LSTM
from unrolled.cells.lstm_projected import LSTMProjected
from unrolled.unroll import native, scan

CELLS: dict[str, Callable[..., Cell]] = {
    "lstm": LSTM,
    "lstm_projected": lambda *sizes, **options: LSTMProjected(*sizes, proj_size=2, **options),
    "gru": GRU,
    "elman_tanh": Elman,
    "elman_relu": lambda *sizes, **options: Elman(*sizes, nonlinearity="relu", **options),
}
LENGTHS = {
    "ragged": [9, 9, 7, 4, 4, 1],
    "near-equal": [6, 5, 5, 5],
    "equal": [5, 5, 5],
    "one step": [1, 1, 1],
    "one row": [7],
    "one element": [1],
}
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}


@pytest.fixture(params=["small pieces", "as shipped"])
def _pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small batches take all ways only where a piece is small, too."""
    if request.param == "small pieces":
        monkeypatch.setattr(native, "SEGMENT", 3)
        monkeypatch.setattr(native, "STEPS", 2)


def packed(lengths: list[int], features: int = 3, dtype: torch.dtype = torch.float64) -> PackedSequence:
    return pack_sequence([torch.randn(n, features, dtype=dtype) for n in lengths])


def results(unroll: Callable, cell: Cell, x: PackedSequence, state: states.State) -> dict[str, Tensor]:
    """All that comes out, and the gradient of a loss that looks at all of it, with respect to all that goes in."""
    data = x.data.detach().clone().requires_grad_()
    state = states.tree_map(lambda leaf: leaf.detach().clone().requires_grad_(), state)
    outputs, final = unroll(cell, x._replace(data=data), state)
    came = {"outputs": outputs.data, **{f"state {k}": leaf for k, leaf in enumerate(states.leaves(final))}}
    weighted = (leaf.flatten() @ _weights(leaf) for leaf in came.values())
    loss = torch.stack(list(weighted)).sum()
    inputs = {"x": data, **{f"initial {k}": leaf for k, leaf in enumerate(states.leaves(state))}}
    inputs |= dict(cell.named_parameters())
    gradients = torch.autograd.grad(loss, list(inputs.values()))
    return came | {f"gradient of {name}": g for name, g in zip(inputs, gradients, strict=True)}


def _weights(leaf: Tensor) -> Tensor:
    return torch.linspace(0.1, 2, leaf.numel(), dtype=leaf.dtype, device=leaf.device)


def random_state(cell: Cell, batch: int) -> states.State:
    return states.tree_map(torch.randn_like, cell.initial_state(batch))


@pytest.mark.usefixtures("_pieces")
@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS.keys())
@pytest.mark.parametrize("name", CELLS)
def test_torchs_kernels_agree_with_the_reference(name: str, lengths: list[int]) -> None:
    for bias, dtype in itertools.product((True, False), TOLERANCE):
        cell = CELLS[name](3, 4, bias=bias, dtype=dtype)
        x, state = packed(lengths, dtype=dtype), random_state(cell, len(lengths))
        assert native.supports(cell, x)
        found = results(native.unroll, cell, x, state)
        wanted = results(scan.unroll, cell, x, state)
        assert found.keys() == wanted.keys()
        for what in wanted:
            tolerance = TOLERANCE[dtype]
            torch.testing.assert_close(
                found[what], wanted[what], rtol=tolerance, atol=tolerance, msg=f"{what}, {bias=}"
            )


@pytest.mark.parametrize("name", CELLS)
def test_a_long_batch_agrees_with_the_reference(name: str) -> None:
    cell = CELLS[name](3, 4, dtype=torch.float64)
    x = packed([3 * native.STEPS + 1, 2 * native.STEPS, native.STEPS, 5, 1])
    state = random_state(cell, 5)
    found = results(native.unroll, cell, x, state)
    wanted = results(scan.unroll, cell, x, state)
    for what in wanted:
        torch.testing.assert_close(found[what], wanted[what], rtol=1e-11, atol=1e-11, msg=what)


@pytest.mark.parametrize("name", CELLS)
def test_without_a_state_it_begins_with_zeros(name: str) -> None:
    cell, x = CELLS[name](3, 4, dtype=torch.float64), packed([4, 2])
    outputs, final = native.unroll(cell, x)
    wanted, wanted_final = native.unroll(cell, x, cell.initial_state(2))
    assert torch.equal(outputs.data, wanted.data)
    assert all(map(torch.equal, states.leaves(final), states.leaves(wanted_final)))


def test_shut_gates_carry_the_cell_state_unchanged_and_let_no_gradient_through() -> None:
    for dtype in (torch.float32, torch.bfloat16):
        cell = LSTM(3, 4, dtype=dtype)
        weights = [native._with_shutter(cell.weight_ih), cell.weight_hh, cell.bias_ih, cell.bias_hh]
        x = torch.randn(5, 2, 4, dtype=dtype)
        x[..., 3] = 1
        x.requires_grad_()
        h, c = (torch.randn(2, 4, dtype=dtype, requires_grad=True) for _ in range(2))
        _, (_, final) = native._padded("lstm", weights, x, (h, c))
        assert torch.equal(final, c)
        gradients = torch.autograd.grad(final.sum(), [c, h, x, *cell.parameters()])
        assert torch.equal(gradients[0], torch.ones_like(c))
        assert not any(gradient.any() for gradient in gradients[1:])


def test_what_stands_in_the_padding_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    cell, x = LSTM(3, 4), packed([9, 8, 3, 1], dtype=torch.float32)
    state = random_state(cell, 4)
    wanted = results(native.unroll, cell, x, state)
    cut = native.staircase

    def poisoned(batch_sizes: Tensor, overhead: int) -> native.Staircase:
        stairs = cut(batch_sizes, overhead)
        assert stairs.padding.any()
        other = torch.randint(len(x.data), stairs.source.shape)
        return stairs._replace(source=torch.where(stairs.padding, other, stairs.source))

    monkeypatch.setattr(native, "staircase", poisoned)
    found = results(native.unroll, cell, x, state)
    for what in wanted:
        torch.testing.assert_close(found[what], wanted[what], rtol=1e-6, atol=1e-6, msg=what)


@pytest.mark.parametrize("name", CELLS)
def test_a_row_of_nan_stays_in_its_row(name: str) -> None:
    cell, x = CELLS[name](3, 4, dtype=torch.float32), packed([9, 6, 5, 2], dtype=torch.float32)
    healthy, _ = native.unroll(cell, x)
    data = x.data.clone()
    ill = native.layout(x.batch_sizes).rows == 2
    data[ill] = torch.nan
    outputs, final = native.unroll(cell, x._replace(data=data))
    assert outputs.data[ill].isnan().all()
    assert torch.equal(outputs.data[~ill], healthy.data[~ill])
    for leaf in states.leaves(final):
        assert leaf.isfinite().all(dim=1).tolist() == [True, True, False, True]


@pytest.mark.parametrize("name", CELLS)
def test_first_and_second_derivatives_are_those_of_finite_differences(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "STEPS", 2)
    cell, x = CELLS[name](2, 3, dtype=torch.float64), packed([3, 2, 1], features=2)
    weights = [w for n in native.WEIGHTS if (w := getattr(cell, n, None)) is not None]
    state = states.leaves(random_state(cell, 3))

    def whole(data: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        given, weights = rest[: len(state)], rest[len(state) :]
        outputs, final = native.run(native._kernel(cell), weights, x._replace(data=data), given)
        return outputs, *final

    inputs = [tensor.detach().clone().requires_grad_() for tensor in (x.data, *state, *weights)]
    assert torch.autograd.gradcheck(whole, inputs)
    assert torch.autograd.gradgradcheck(whole, inputs)


@pytest.mark.usefixtures("_pieces")
@pytest.mark.parametrize("lengths", [[5, 4, 1], [3, 3], [1, 1]])
def test_second_derivatives_of_the_fused_kernel_are_those_of_the_reference(lengths: list[int]) -> None:
    cell, x = LSTM(2, 3, dtype=torch.float32), packed(lengths, features=2, dtype=torch.float32)
    assert native.is_fused([cell.weight_ih, cell.weight_hh], x.data)

    def second(unroll: Callable, dtype: torch.dtype) -> tuple[Tensor, ...]:
        twin = LSTM(2, 3, dtype=dtype)
        twin.load_state_dict(cell.state_dict())
        data = x.data.to(dtype).requires_grad_()
        outputs, (h, c) = unroll(twin, x._replace(data=data))
        loss = outputs.data.square().sum() + h.cos().sum() + c.sin().sum()
        first = torch.autograd.grad(loss, [data, *twin.parameters()], create_graph=True)
        return torch.autograd.grad(sum(g.square().sum() for g in first), [data, *twin.parameters()])

    for found, wanted in zip(second(native.unroll, torch.float32), second(scan.unroll, torch.float64), strict=True):
        torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-5)


def test_in_training_the_packed_kernel_never_gets_many_steps_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, kernel = [], native._packed

    def watched(*args: object) -> object:
        seen.append(len(args[3]))  # type: ignore[arg-type]
        return kernel(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(native, "_packed", watched)
    cell, x = LSTM(3, 4, dtype=torch.float64), packed([100, 40, 3])
    native.unroll(cell, x)
    assert sum(seen) == 100
    assert max(seen) <= native.STEPS
    seen.clear()
    with torch.no_grad():
        native.unroll(cell, x)
    assert seen == [100]


def test_indices_that_were_made_in_inference_mode_serve_training() -> None:
    cell, x = LSTM(3, 4), packed([8, 6, 1], dtype=torch.float32)
    with torch.inference_mode():
        first, _ = native.unroll(cell, x)
    outputs, _ = native.unroll(cell, x)
    outputs.data.sum().backward()
    torch.testing.assert_close(outputs.data, first.data)
    assert cell.weight_ih.grad is not None


@pytest.mark.parametrize("name", CELLS)
def test_bfloat16_is_close_to_float64(name: str) -> None:
    cell, x = CELLS[name](3, 4, dtype=torch.bfloat16), packed([9, 6, 5, 2], dtype=torch.bfloat16)
    outputs, final = native.unroll(cell, x)
    wanted, wanted_final = scan.unroll(cell.double(), x._replace(data=x.data.double()))
    assert outputs.data.dtype == torch.bfloat16
    for found, right in zip(
        [outputs.data, *states.leaves(final)], [wanted.data, *states.leaves(wanted_final)], strict=True
    ):
        torch.testing.assert_close(found.double(), right, rtol=0.05, atol=0.03)


@pytest.mark.parametrize("name", CELLS)
def test_under_autocast_it_runs_and_is_close(name: str) -> None:
    cell, x = CELLS[name](3, 4), packed([40, 6, 5, 2], dtype=torch.float32)
    wanted, _ = native.unroll(cell, x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs, _ = native.unroll(cell, x)
    outputs.data.float().sum().backward()
    torch.testing.assert_close(outputs.data.float(), wanted.data, rtol=0.05, atol=0.03)


class _Louder(LSTM):
    def step(self, px: Tensor, state: states.State) -> tuple[Tensor, states.State]:
        output, after = super().step(px, state)
        return 2 * output, after


def test_only_what_torch_computes_exactly_is_supported() -> None:
    x = packed([3, 2], dtype=torch.float32)
    assert native.supports(LSTM(3, 4), x)
    assert native.supports(LSTMProjected(3, 4, proj_size=3), x)
    # A subclass may compute something else; torch cannot tell a projection that keeps the size from none.
    assert not native.supports(_Louder(3, 4), x)
    assert not native.supports(LSTMProjected(3, 4, proj_size=4), x)
    assert not native.supports(LSTM(3, 4, dtype=torch.float64), x)
    assert not native.supports(LSTM(3, 4, device="meta"), x)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", CELLS)
def test_on_a_gpu_it_agrees_with_the_reference(name: str) -> None:
    cell, x = CELLS[name](3, 4, dtype=torch.float64).cuda(), packed([9, 6, 5, 2]).to("cuda")
    outputs, final = native.unroll(cell, x)
    wanted, wanted_final = scan.unroll(cell, x)
    torch.testing.assert_close(outputs.data, wanted.data)
    for found, right in zip(states.leaves(final), states.leaves(wanted_final), strict=True):
        torch.testing.assert_close(found, right)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", CELLS)
def test_on_a_gpu_gradients_agree_with_the_reference(name: str) -> None:
    cell, x = CELLS[name](3, 4, dtype=torch.float64).cuda().eval(), packed([9, 6, 5, 2]).to("cuda")
    state = random_state(cell, 4)
    found, right = (results(unroll, cell, x, state) for unroll in (native.unroll, scan.unroll))
    for what, wanted in right.items():
        torch.testing.assert_close(found[what], wanted, msg=lambda told, what=what: f"{what}: {told}")
