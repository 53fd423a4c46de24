"""Looks at a model while it is trained: as many as a share of the time pays for, and what a step changed.

Nothing that the training computes depends on them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from unrolled.tasks.base import Task
from unrolled.training import optimizer

Look = Callable[[Task], Any]
"""What looks at a task; it leaves it as it is."""


class Looks:
    """When to look, and what is seen.

    Args:
        look: None: never.
        share: of the training's time that looks may take.
    """

    def __init__(self, look: Look | None, share: float) -> None:
        self.look, self.share = look, share
        self.spent = self.last = 0.0
        self.before: dict[str, Tensor] | None = None

    def begin(self, task: Task, seconds: float) -> None:
        """Before a step. seconds: of the training so far. The first step is always looked at."""
        self.before = None
        if self.look is not None and (self.spent == 0.0 or self.spent + self.last <= self.share * seconds):
            began = time.perf_counter()
            self.before = {name: p.detach().clone() for name, p in task.named_parameters() if p.requires_grad}
            self.last = time.perf_counter() - began

    def end(self, task: Task, stepped: Optimizer) -> tuple[dict[str, float], dict[str, float], Any] | None:
        """After a step: how far each parameter moved, what of its gradients is `faint`, and what was found.

        stepped: the optimizer, which did the step. None where this is no time to look.
        """
        if self.before is None or self.look is None:
            return None
        began = time.perf_counter()
        moved = {}
        for name, parameter in task.named_parameters():
            if (was := self.before.get(name)) is not None:
                moved[name] = float((parameter.detach() - was).norm() / was.norm().clamp(min=1e-12))
        faint = optimizer.faint(stepped, task.named_parameters())
        found = self.look(task)
        self.before = None
        self.last += time.perf_counter() - began
        self.spent += self.last
        return moved, faint, found
