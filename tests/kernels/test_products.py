"""The products with the input's weights may be torch's: then the numbers are the same up to rounding."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

from unrolled.errors import BadOption
from unrolled.kernels import library, products
from unrolled.unroll import fused, scan

needs_kernels = pytest.mark.skipif(library.load() is None, reason=f"there are no compiled kernels: {library.why()}")
CELLS = {kind: cell for cell, kind in fused.KINDS.items()}


@needs_kernels
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", CELLS)
def test_torchs_products_give_what_ours_give(name: str, bias: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    cells = [CELLS[name](5, 40, bias=bias) for _ in range(2)]
    x = pack_sequence([torch.randn(n, 5) for n in (9, 8, 8, 3, 1)])
    x = x._replace(data=x.data.requires_grad_())
    inputs = [x.data, *(p for cell in cells for p in cell.parameters())]
    found = {}

    def noted(taken: list[str], way: str, inner: Callable, *given: object) -> None:
        taken.append(way)
        inner(*given)

    for whose in ("ours", "torch"):
        monkeypatch.setenv(products.VARIABLE, whose)
        taken: list[str] = []
        for way in ("read", "back"):
            inner = getattr(products, way)
            monkeypatch.setattr(products, way, partial(noted, taken, way, inner))
        done = fused.attempt(cells, x, (None, None))
        assert done is not None
        found[whose] = [done[0].data, *torch.autograd.grad(done[0].data.square().sum(), inputs)]
        assert taken == ([] if whose == "ours" else ["read", "read", "back", "back"])
        monkeypatch.undo()
    for ours, torchs in zip(found["ours"], found["torch"], strict=True):
        torch.testing.assert_close(ours, torchs, rtol=1e-5, atol=1e-5)
    one = scan.unroll(cells[0], x)[0].data
    torch.testing.assert_close(found["torch"][0][:, : one.shape[1]], one, rtol=0, atol=2e-6)


def test_what_is_neither_ours_nor_torchs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(products.VARIABLE, "mkl")
    with pytest.raises(BadOption, match="UNROLLED_PRODUCTS=mkl: it is 'ours' or 'torch'"):
        products.are_torchs(False, 1)


def test_what_is_not_asked_for_is_measured_only_where_it_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(products.VARIABLE, raising=False)
    measured = []
    for ratio in (2.0, 1.05):
        monkeypatch.setattr(products, "ratio", lambda ratio=ratio: measured.append(ratio) or ratio)
        assert products.are_torchs(False, products.MATTERS) == (ratio > products.CLEARLY)
        assert not products.are_torchs(False, products.MATTERS - 1)
        assert not products.are_torchs(True, products.MATTERS)
    assert measured == [2.0, 1.05]


@needs_kernels
def test_both_are_measured_and_torch_keeps_its_threads() -> None:
    before = torch.get_num_threads()
    products.ratio.cache_clear()
    assert products.ratio() > 0
    assert torch.get_num_threads() == before
