"""Memory stays as it is over many calls. `benchmarks/leaks.py` makes a million, here are some thousands."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from unrolled.kernels import build, library

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "leaks.py"

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read as Linux shows it")


@pytest.mark.skipif(library.load() is None, reason=f"there are no compiled kernels: {library.why()}")
def test_no_memory_is_kept_by_streams_training_inference_dropped_cells_and_ended_threads() -> None:
    # In a process of its own, where nothing else comes and goes.
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--calls", "10000"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("| flat |") == 6


@pytest.fixture(scope="module")
def leaks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("leaks", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["leaks"] = module  # a class looks its module up
    spec.loader.exec_module(module)
    return module


def test_the_smallest_block_lost_in_every_call_is_seen(leaks: ModuleType) -> None:
    malloc = ctypes.CDLL(None).malloc
    malloc.restype, malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    if leaks.usage().given == 0:
        pytest.skip("this system's malloc does not say what it has given out")
    calls = 10_000
    _, grown = leaks.counted(lambda k: malloc(16), calls)
    assert grown.given >= 16 * calls
    assert not leaks.is_flat(grown, calls)
    _, grown = leaks.counted(lambda k: None, calls)
    assert leaks.is_flat(grown, calls)


@pytest.mark.slow
def test_the_sanitizer_that_the_random_sizes_run_under_sees_a_lost_block(tmp_path: Path) -> None:
    command, source, program = build.compiler(), tmp_path / "lost.cpp", tmp_path / "lost"
    source.write_text("int main(int count, char**) {\n  char* lost = new char[count];\n  lost = nullptr;\n}\n")
    flags = ["-O0", "-fsanitize=address"]
    if command is None or subprocess.run([*command, *flags, str(source), "-o", str(program)], check=False).returncode:
        pytest.skip("there is no compiler with -fsanitize=address")
    environment = {name: value for name, value in os.environ.items() if name not in ("ASAN_OPTIONS", "LSAN_OPTIONS")}
    done = subprocess.run([str(program)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "LeakSanitizer: detected memory leaks" in done.stderr
