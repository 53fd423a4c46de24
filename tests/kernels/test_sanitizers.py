"""The compiled code under sanitizers, on random sizes and lengths, in buffers of exactly the sizes that it asks for."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from unrolled.kernels import build

FUZZ = sorted(Path(__file__).parent.glob("fuzz*.cpp"))
# -O3 of code that is instrumented takes minutes to compile.
FLAGS = ("-O0", "-g1", "-fno-omit-frame-pointer", "-fno-sanitize-recover=all")


def compiles(flags: list[str], folder: Path) -> bool:
    command = build.compiler()
    if command is None:
        return False
    (folder / "empty.cpp").write_text("int main() {}\n")
    made = subprocess.run(
        [*command, *flags, str(folder / "empty.cpp"), "-o", str(folder / "empty")], capture_output=True, check=False
    )
    return made.returncode == 0 and subprocess.run([str(folder / "empty")], check=False).returncode == 0


@pytest.fixture(scope="module", params=["address,undefined", "thread"])
def instrumented(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Path]:
    """The flags of a sanitizer, and the library made with them."""
    flags, folder = [*FLAGS, f"-fsanitize={request.param}"], tmp_path_factory.mktemp("sanitizers")
    if not compiles(flags, folder):
        pytest.skip(f"there is no compiler with -fsanitize={request.param}")
    return flags, build.build(folder / "kernels.so", flags=flags)


@pytest.mark.slow
@pytest.mark.parametrize("fuzz", FUZZ, ids=lambda path: path.stem)
def test_no_access_beyond_a_buffer_nothing_undefined_no_race_no_number_unwritten(
    fuzz: Path, instrumented: tuple[list[str], Path], tmp_path: Path
) -> None:
    flags, library = instrumented
    # Threads that wait for each other take their time where each access is looked at.
    cases = 20 if "-fsanitize=thread" in flags else 100
    command = build.compiler()
    assert command is not None
    program = tmp_path / "fuzz"
    subprocess.run(
        [*command, "-std=c++17", *flags, f"-I{build.SOURCES}", str(fuzz), str(library), "-pthread", "-o", str(program)],
        check=True,
    )
    done = subprocess.run([str(program), str(cases)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"portable: {cases} cases" in done.stdout
