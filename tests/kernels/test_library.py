"""The compiled library is found, chosen, and done without."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from unrolled.kernels import build, library

needs_kernels = pytest.mark.skipif(library.load() is None, reason=f"there are no compiled kernels: {library.why()}")

PROCESSOR = Path("/proc/cpuinfo")
PROGRAM = """
import torch
from unrolled.cells.lstm import LSTM
from unrolled.kernels import library
from unrolled.unroll import choose, scan
from torch.nn.utils.rnn import pack_sequence
x, cell = pack_sequence([torch.randn(9, 3), torch.randn(8, 3)]), LSTM(3, 20)
torch.testing.assert_close(choose.unroll(cell, x)[0].data, scan.unroll(cell, x)[0].data)
print(library.why())
"""


def said(wanted: str, program: str = PROGRAM) -> tuple[int, str]:
    environment = {**os.environ, library.VARIABLE: wanted}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.strip() or done.stderr.strip().splitlines()[-1]


def test_without_kernels_all_runs_and_it_is_said_why() -> None:
    assert said("none") == (0, "none (UNROLLED_KERNELS=none)")


@needs_kernels
def test_an_instruction_set_can_be_asked_for() -> None:
    assert said("portable") == (0, "portable (UNROLLED_KERNELS asks for them)")


@needs_kernels
def test_an_instruction_set_that_is_not_there_is_refused() -> None:
    code, message = said("mmx")
    assert code == 1
    assert "UNROLLED_KERNELS=mmx: this machine has no such instruction set" in message


@needs_kernels
@pytest.mark.skipif(not PROCESSOR.exists(), reason="the system says nothing of its processor")
@pytest.mark.parametrize("vendor", ["GenuineIntel", "AuthenticAMD"])
def test_only_amds_kernels_multiply_bfloat16_by_vectors_unless_they_are_asked_for(vendor: str) -> None:
    words = PROCESSOR.read_text().split()
    if vendor not in words or "avx512_bf16" not in words or "amx_bf16" in words:
        pytest.skip(f"this is not a processor of {vendor} whose vectors are all it has for bfloat16")
    chosen = "avx512" if vendor == "GenuineIntel" else "avx512bf16"
    assert said("") == (0, f"{chosen} (the best that this machine can run)")
    assert said("avx512bf16") == (0, "avx512bf16 (UNROLLED_KERNELS asks for them)")


def test_a_library_that_is_not_there_or_of_another_machine_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(library.VARIABLE, raising=False)
    monkeypatch.setattr(library, "LIBRARY", tmp_path / "none.so")
    library.load.cache_clear()
    try:
        assert library.load() is None
        assert "they were not built: python -m unrolled.kernels.build needs a C++17 compiler" in library.why()
        (tmp_path / "none.so").write_bytes(b"\x7fELF of another machine")
        library.load.cache_clear()
        assert library.load() is None
        assert "the library that is there is not for this machine" in library.why()
    finally:
        library.load.cache_clear()


def test_without_a_compiler_the_build_says_what_it_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(FileNotFoundError, match=r"no C\+\+ compiler \(looked for \$CXX, c\+\+, g\+\+, clang\+\+\)"):
        build.build(tmp_path / "kernels.so")


@pytest.mark.skipif(build.compiler() is None, reason="there is no C++ compiler")
def test_a_build_that_fails_leaves_the_library_that_was_there(tmp_path: Path) -> None:
    target = tmp_path / "kernels.so"
    target.write_bytes(b"as it was")
    with pytest.raises(RuntimeError, match=r"no-such-flag"):
        build.build(target, flags=["--no-such-flag"])
    assert target.read_bytes() == b"as it was"
    assert [path.name for path in tmp_path.iterdir()] == ["kernels.so"]


def test_the_compiler_says_what_it_compiles_for_and_where_it_does_not_it_is_this_machine() -> None:
    # `-dumpmachine` comes to these shells as the name of their script.
    assert build.architecture(["sh", "-c", "echo aarch64-linux-gnu"]) == "aarch64"
    assert build.architecture(["sh", "-c", "echo AMD64-w64-mingw32"]) == "x86_64"
    here = platform.machine().lower()
    assert build.architecture(["sh", "-c", "exit 1"]) == ("x86_64" if here == "amd64" else here)


@pytest.mark.skipif(build.compiler() is None, reason="there is no compiler")
def test_where_the_assembler_knows_no_tiles_the_library_is_built_without_them(tmp_path: Path) -> None:
    compiler = build.compiler()
    assert compiler is not None
    assert not build._knows_amx(["false"], tmp_path)
    made = tmp_path / "chosen.o"
    source = build.SOURCES / "chosen.cpp"
    subprocess.run([*compiler, *build.FLAGS, "-DNO_AMX", "-c", str(source), "-o", str(made)], check=True)
    assert b"unrolled_kernels_amx" not in made.read_bytes()
    assert b"unrolled_kernels_portable" in made.read_bytes()
