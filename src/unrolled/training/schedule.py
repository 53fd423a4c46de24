"""The learning rate over the course of a training, as a factor of its highest value.

All but `plateau` are functions of progress alone, the share of the plan that is done: with a time budget the schedule
follows the budget, and after a resume it goes on where it was.
"""

from __future__ import annotations

import math

from unrolled.training.settings import Settings

LOWEST = 0.01
"""`linear` and `cosine` end here, as a factor: steps of size zero would waste the last minutes."""


class Schedule:
    """`schedule(progress)` is the factor; `schedule.checked(better)` tells `plateau` how a check went."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.halvings = 0
        self.without = 0

    def __call__(self, progress: float) -> float:
        """The factor, in (0, 1], at a share `progress` in [0, 1] of the plan."""
        s = self.settings
        if s.schedule == "one_cycle":
            return _one_cycle(progress)
        if progress < s.warmup:
            return max(progress / s.warmup, 0.01)
        rest = (progress - s.warmup) / (1 - s.warmup)
        if s.schedule == "linear":
            return LOWEST + (1 - LOWEST) * (1 - rest)
        if s.schedule == "cosine":
            return LOWEST + (1 - LOWEST) * (1 + math.cos(math.pi * rest)) / 2
        return 0.5**self.halvings  # constant and plateau

    def checked(self, better: bool) -> None:
        """Tell how a check went: `plateau` halves the rate after `plateau_patience` checks with no better figure."""
        self.without = 0 if better else self.without + 1
        if self.settings.schedule == "plateau" and self.without >= self.settings.plateau_patience:
            self.halvings += 1
            self.without = 0

    def state(self) -> dict[str, int]:
        """What a checkpoint must keep."""
        return {"halvings": self.halvings, "without": self.without}

    def restore(self, state: dict[str, int]) -> None:
        """Go on from a checkpoint."""
        self.halvings, self.without = state["halvings"], state["without"]


def _one_cycle(progress: float) -> float:
    """From 1/25 up to 1 in the first 30 %, then down to 1/10,000, both along half a cosine (Smith 2018)."""
    peak, start, end = 0.3, 1 / 25, 1e-4
    if progress < peak:
        return start + (1 - start) * (1 - math.cos(math.pi * progress / peak)) / 2
    return end + (1 - end) * (1 + math.cos(math.pi * (progress - peak) / (1 - peak))) / 2
