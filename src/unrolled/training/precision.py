"""What a training multiplies in its steps: float32, or, where it is quicker, numbers rounded to bfloat16.

The setting says what is wanted. It changes nothing without the kernels (no compiler, another device), nor where they
have no instructions for bfloat16 and would take longer with it; so one recipe serves every machine. What really ran is
said by `Planned`, in the console, in `metrics.json` and by `unrolled info`. Of a model that has cells with and without
a kernel, those with one are concerned.
"""

from __future__ import annotations

import torch

from unrolled.kernels import library
from unrolled.tasks.base import Task
from unrolled.training.settings import Settings


def in_effect(task: Task, settings: Settings) -> str:
    """The precision of the settings where the kernels gain by it and are for the task's weights; else `float32`."""
    theirs = all(p.is_cpu and p.dtype is torch.float32 for p in task.parameters())
    return settings.precision if theirs and library.halves_are_quicker() else "float32"
