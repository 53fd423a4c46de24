"""What tests of the compiled kernels share: the instruction sets, one after the other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from unrolled.kernels import library
from unrolled.unroll import fused

ISAS = ("amx", "avx512bf16", "avx512", "avx2", "portable")


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run with the kernels of one instruction set."""
    kernels = library.load()
    assert kernels is not None
    before = kernels.unrolled_isa()
    if not kernels.unrolled_use(request.param.encode()):
        pytest.skip(f"this machine cannot run {request.param}")
    fused.forget()  # weights that were laid out for another
    yield request.param
    kernels.unrolled_use(before)
    fused.forget()
