"""What a training multiplies in its steps: float32, or, where our kernels run, numbers rounded to bfloat16.

The setting says what is wanted. Without the kernels (no compiler, another device) it changes nothing, so that one
recipe serves every machine; what really ran is said by `Planned`, in the console, in `metrics.json` and by `unrolled
info`. Of a model that has cells with and without a kernel, those with one are concerned.
"""

from __future__ import annotations

import torch

from unrolled.kernels import library
from unrolled.tasks.base import Task
from unrolled.training.settings import Settings


def in_effect(task: Task, settings: Settings) -> str:
    """The precision of the settings where the kernels are there for the task's weights; else `float32`."""
    theirs = all(p.is_cpu and p.dtype is torch.float32 for p in task.parameters())
    return settings.precision if theirs and library.load() is not None else "float32"
