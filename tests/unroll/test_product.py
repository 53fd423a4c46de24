"""The product with a layer's weights: torch's in float32, ours in bfloat16, with its gradients."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from unrolled.kernels import library, matrix
from unrolled.unroll import fused, product
from unrolled.unroll.product import linear

needs_kernels = pytest.mark.skipif(library.load() is None, reason=f"there are no compiled kernels: {library.why()}")


def data(*shape: int, bias: bool = True) -> list[Tensor]:
    given = [torch.randn(*shape, 33), torch.randn(20, 33), torch.randn(20)]
    return [t.requires_grad_() for t in given[: 2 + bias]]


def counting(made: Tensor) -> Tensor:
    """The gradient that comes in."""
    return torch.arange(made.numel(), dtype=made.dtype).cos().view(made.shape)


def found(given: list[Tensor]) -> list[Tensor]:
    made = linear(*given)
    return [made.detach(), *torch.autograd.grad(made, given, counting(made))]


def wanted(given: list[Tensor]) -> list[Tensor]:
    given = [t.detach().double().requires_grad_() for t in given]
    made = functional.linear(*given)
    return [made.detach(), *torch.autograd.grad(made, given, counting(made))]


@pytest.fixture(params=["float32", "bfloat16"])
def within(request: pytest.FixtureRequest) -> Iterator[float]:
    """How far what is found may be from what is right, in shares of its scale."""
    with fused.precision(request.param):
        yield 2e-6 if request.param == "float32" else 1e-2


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1,), (15,), (16,), (100,), (3, 40), (0,), (2, 0)])
def test_result_and_gradients_are_right(shape: tuple[int, ...], bias: bool, within: float) -> None:
    given = data(*shape, bias=bias)
    for mine, right in zip(found(given), wanted(given), strict=True):
        assert mine.shape == right.shape
        assert not right.numel() or (mine - right).abs().max() <= within * max(1.0, float(right.abs().max()))


def test_in_float32_with_gradients_it_is_torch_s() -> None:
    given = data(40)
    assert torch.equal(linear(*given), functional.linear(*given))


@needs_kernels
def test_in_bfloat16_factors_are_rounded_and_the_sum_is_not() -> None:
    x, weight, bias = (t.detach() for t in data(40))
    with fused.precision("bfloat16"):
        made = linear(x, weight, bias)
    right = functional.linear(x.bfloat16().float(), weight.bfloat16().float(), bias)
    torch.testing.assert_close(made, right, rtol=1e-5, atol=1e-5)
    assert not torch.equal(made, functional.linear(x, weight, bias))
    assert not torch.equal(made, made.bfloat16().float())


@needs_kernels
def test_parts_of_a_weight_are_multiplied_where_they_lie(within: float) -> None:
    whole, x = torch.randn(20, 50, requires_grad=True), torch.randn(40, 33)
    (gradient,) = torch.autograd.grad(linear(x, whole[:, 17:]).sum(), whole)
    right = x.double().sum(0).expand(20, -1)
    assert not gradient[:, :17].any()
    assert (gradient[:, 17:] - right).abs().max() <= within * right.abs().max()


@needs_kernels
def test_only_what_is_asked_for_has_a_gradient() -> None:
    with fused.precision("bfloat16"):
        for frozen in range(3):
            given = data(40)
            given[frozen].requires_grad_(False)
            linear(*given).sum().backward()
            assert [t.grad is None for t in given] == [k == frozen for k in range(3)]


@needs_kernels
def test_second_derivatives_go_through_torch() -> None:
    given = data(40)
    with fused.precision("bfloat16"):
        (first,) = torch.autograd.grad(linear(*given).pow(3).sum(), given[0], create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), given[1])
    exact = [t.detach().requires_grad_() for t in given]
    (first,) = torch.autograd.grad(functional.linear(*exact).pow(3).sum(), exact[0], create_graph=True)
    (right,) = torch.autograd.grad(first.sum(), exact[1])
    assert (second - right).abs().max() <= 3e-2 * right.abs().max()


@needs_kernels
@pytest.mark.parametrize("rows", [1, 5, 40])
def test_without_gradients_weights_are_laid_out_once(rows: int, within: float, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Tensor] = []
    panels = matrix.panels
    monkeypatch.setattr(
        matrix, "panels", lambda weight, *how, **more: made.append(weight) or panels(weight, *how, **more)
    )
    one, x = nn.Linear(33, 20), torch.randn(rows, 33)
    with torch.no_grad():
        for factor in (1, 2, 3):
            one.weight.mul_(factor)  # a change is seen
            right = functional.linear(x.double(), one.weight.double(), one.bias.double())
            for _ in range(3):
                found = linear(x, one.weight, one.bias)
                assert (found - right).abs().max() <= within * right.abs().max()
    assert len(made) == 3


@needs_kernels
def test_what_is_kept_in_one_type_is_not_taken_for_the_other() -> None:
    one, x = nn.Linear(33, 20), torch.randn(5, 33)
    with torch.no_grad():
        exact = linear(x, one.weight)
        with fused.precision("bfloat16"):
            rounded = linear(x, one.weight)
        assert not torch.equal(exact, rounded)
        assert torch.equal(linear(x, one.weight), exact)
    with torch.inference_mode():
        born = nn.Parameter(torch.randn(20, 33))
        torch.testing.assert_close(linear(x, born), functional.linear(x, born))


@needs_kernels
def test_other_types_and_few_rows_are_left_to_torch() -> None:
    with fused.precision("bfloat16"):
        for given in ([t.double() for t in data(40)], data(3)):
            assert torch.equal(linear(*given), functional.linear(*given))
    with torch.no_grad():
        one = nn.Linear(33, 20)
        assert torch.equal(linear(torch.empty(0, 33), one.weight, one.bias), torch.empty(0, 20))
        with pytest.raises(RuntimeError, match="shapes"):
            linear(torch.randn(5, 32), one.weight)


def test_without_kernels_it_is_torch_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(product.library, "load", lambda: None)
    given = data(40)
    with fused.precision("bfloat16"):
        assert torch.equal(linear(*given), functional.linear(*given))
