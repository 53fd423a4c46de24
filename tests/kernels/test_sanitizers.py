"""The compiled code under sanitizers, on random sizes and lengths, in buffers of exactly the sizes that it asks for."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from unrolled.kernels import build

FUZZ = sorted(Path(__file__).parent.glob("fuzz*.cpp"))
# -O3 of code that is instrumented takes minutes to compile.
FLAGS = ("-O0", "-g", "-fno-omit-frame-pointer", "-fno-sanitize-recover=all")


def compiles(flags: list[str], folder: Path) -> bool:
    command = build.compiler()
    if command is None:
        return False
    (folder / "empty.cpp").write_text("int main() {}\n")
    made = subprocess.run(
        [*command, *flags, str(folder / "empty.cpp"), "-o", str(folder / "empty")], capture_output=True, check=False
    )
    return made.returncode == 0 and subprocess.run([str(folder / "empty")], check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("sanitizers", ["address,undefined", "thread"])
def test_no_access_beyond_a_buffer_nothing_undefined_no_race_no_number_unwritten(
    sanitizers: str, tmp_path: Path
) -> None:
    flags = [*FLAGS, f"-fsanitize={sanitizers}"]
    if not compiles(flags, tmp_path):
        pytest.skip(f"there is no compiler with -fsanitize={sanitizers}")
    command = build.compiler()
    assert command is not None
    library = build.build(tmp_path / "kernels.so", flags=flags)
    for fuzz in FUZZ:
        program = tmp_path / fuzz.stem
        made = [str(fuzz), str(library), "-pthread", "-o", str(program)]
        subprocess.run([*command, "-std=c++17", *flags, f"-I{build.SOURCES}", *made], check=True)
        done = subprocess.run([str(program), "150"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, (fuzz.name, done.stderr[-3000:])
        assert "portable: 150 cases" in done.stdout
