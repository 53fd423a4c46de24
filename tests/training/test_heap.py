"""Freed memory is kept while a network trains, and goes back afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from unrolled.training import heap

PIECES = """
import json, resource
from pathlib import Path
import numpy as np
from unrolled.training import heap

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        np.ones(1 << 23)  # 64 MiB, written and freed
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1])

start, plain = resident(), faults()
with heap.kept():
    faults()
    kept, held = faults(), resident()
print(json.dumps({"plain": plain, "kept": kept, "held": held - start, "after": resident() - start}))
"""


def measured(**environment):
    whole = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    run = [sys.executable, "-c", PIECES]
    return json.loads(subprocess.run(run, env=whole | environment, capture_output=True, check=True).stdout)


@pytest.mark.skipif(heap._library() is None, reason="the C library is not GNU's, or the environment says how it keeps")
def test_pieces_of_a_step_are_not_asked_of_the_system_again_and_go_back_at_the_end():
    found = measured()
    assert found["kept"] < found["plain"] / 20
    assert found["held"] > 4 * max(found["after"], 1)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it reads Linux's count of pages")
@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"])
def test_what_the_environment_says_of_memory_stands(name):
    value = "glibc.malloc.mmap_threshold=1000000" if name == "GLIBC_TUNABLES" else "1000000"
    found = measured(**{name: value})
    assert found["kept"] > found["plain"] / 2


def test_what_a_step_raises_passes_through_and_another_library_changes_nothing(monkeypatch):
    with pytest.raises(KeyError), heap.kept():
        raise KeyError
    monkeypatch.setattr(heap, "_library", lambda: None)
    with pytest.raises(KeyError), heap.kept():
        raise KeyError
