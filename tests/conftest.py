"""Fixtures that many tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from unrolled.kernels import library
from unrolled.unroll import fused


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets; tests that need it skip where it is absent."""
    named = os.environ.get("UNROLLED_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real data sets are not here: set UNROLLED_DATA to their folder")
    return folder


@pytest.fixture(autouse=True, scope="session")
def _no_one_s_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    # What lies in the user's own is not to be found, nor to be added to.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNROLLED_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _one_seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(params=("amx", "avx512bf16", "avx512", "avx2", "portable"))
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run with the kernels of one instruction set, where this machine has it."""
    kernels = library.load()
    if kernels is None:
        pytest.skip("there are no compiled kernels")
    before = kernels.unrolled_isa()
    if not kernels.unrolled_use(request.param.encode()):
        pytest.skip(f"this machine cannot run {request.param}")
    fused.forget()  # weights that were laid out for another
    yield request.param
    kernels.unrolled_use(before)
    fused.forget()
