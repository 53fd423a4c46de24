"""The kill test: killed at any moment (`kill -9`) and resumed, a training gives the same model byte for byte."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HERE = Path(__file__).parent


@pytest.fixture
def kill_test() -> ModuleType:
    """The benchmark of that name, of which this is a small edition."""
    path = HERE.parents[1] / "benchmarks" / "kill_test.py"
    spec = importlib.util.spec_from_file_location("kill_test", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.timeout(1800)  # half a minute; but a machine may be busy
def test_three_kills_at_random_moments_change_nothing(kill_test: ModuleType, tmp_path: Path) -> None:
    done = kill_test.run(tmp_path, kills=3, seed=1, data=kill_test.make_up(tmp_path / "data"))
    assert len(done.kills) == 3
    assert set(done.found) == {done.expected}
    # Nothing is left over but the model and the lock.
    undisturbed = sorted(path.name for path in (tmp_path / "undisturbed").iterdir())
    assert sorted(path.name for path in (tmp_path / "round-1").iterdir()) == undisturbed


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it forks, and reads under /proc")
@pytest.mark.timeout(1800)
def test_a_kill_at_any_operation_on_the_disk_changes_nothing(kill_test: ModuleType, tmp_path: Path) -> None:
    kill_test.make_up(tmp_path / "data", sentences=15)
    done = subprocess.run(
        [sys.executable, str(HERE / "killed_at.py"), str(tmp_path), "1"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    told: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each for each in told if each["exit codes"][0] != 9 or not each["same"]] == []
    operations = {each["operation"] for each in told}
    # Before the first checkpoint; while one is written; while the model is; and while the checkpoints are removed.
    assert {
        "os.mkdir /",
        "os.mkdir /checkpoints",
        "half written /checkpoints/.now.safetensors.…",
        "os.rename /checkpoints/.now.safetensors.…",
        "half written /.staged/model.safetensors",
        "open /.staged/complete",
        "os.rename /.staged/config.json",
        "os.rename /.staged/model.safetensors",
        "os.remove /.staged/complete",
        "os.rename /checkpoints",
        "os.remove /.checkpoints.going/now.safetensors",
    } <= operations
