"""The kernels without Python against the equations in double precision: a program that emulators can run too."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from unrolled.kernels import build, library

PROGRAM = Path(__file__).with_name("against_scalar.cpp")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    command = build.compiler()
    if library.load() is None or command is None:
        pytest.skip(f"there are no compiled kernels ({library.why()}), or no compiler")
    made = tmp_path_factory.mktemp("program") / "against_scalar"
    flags = ["-std=c++17", "-O1", f"-I{build.SOURCES}", "-pthread"]
    subprocess.run([*command, *flags, str(PROGRAM), str(build.LIBRARY), "-o", str(made)], check=True)
    return made


def run(program: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(program), *words], capture_output=True, text=True, check=False)


def test_all_instruction_sets_agree_with_the_equations_in_double_precision(program: Path) -> None:
    done = run(program, "40")
    assert done.returncode == 0, done.stderr
    assert "portable: 40 cases" in done.stdout


def test_what_is_further_off_than_is_allowed_is_told(program: Path) -> None:
    done = run(program, "40", "1e-9")
    assert done.returncode == 1
    assert "is allowed; cell" in done.stderr
