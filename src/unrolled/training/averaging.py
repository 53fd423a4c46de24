"""Averages of the weights along the way, which are often better than the last weights.

An average is a set of tensors beside the parameters; `swapped` puts it into the model for as long as it is looked at.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from unrolled.training.settings import Settings


class Average(ABC):
    """The contract: `update` after each step, `checked` after each check."""

    def __init__(self, model: nn.Module) -> None:
        self.parameters = dict(model.named_parameters())
        self.values: dict[str, Tensor] = {}
        self.count = 0

    @abstractmethod
    def update(self) -> None:
        """Take the weights as they are now into the average."""

    @abstractmethod
    def checked(self, better: bool, run: int) -> None:
        """A check is over; `run` checks have passed without a better figure."""

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """Within the block the model carries the average; afterwards its own weights again, bit for bit."""
        if not self.values:
            yield
            return
        own = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}
        self._put(self.values)
        try:
            yield
        finally:
            self._put(own)

    @torch.no_grad()
    def _put(self, values: dict[str, Tensor]) -> None:
        for name, parameter in self.parameters.items():
            parameter.copy_(values[name])

    @torch.no_grad()
    def _lerp(self, weight: float) -> None:
        if not self.values:
            self.values = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}
            return
        torch._foreach_lerp_(list(self.values.values()), [p.detach() for p in self.parameters.values()], weight)


class NoAverage(Average):
    """The last weights as they are."""

    def update(self) -> None:
        pass

    def checked(self, better: bool, run: int) -> None:
        pass


class Exponential(Average):
    """a <- d a + (1 - d) w, with d rising to `decay` as (1 + n) / (10 + n), so that the start is soon forgotten."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__(model)
        self.decay = decay

    def update(self) -> None:
        self.count += 1
        self._lerp(1 - min(self.decay, (1 + self.count) / (10 + self.count)))

    def checked(self, better: bool, run: int) -> None:
        pass


class Triggered(Average):
    """The plain mean since the figure stopped rising (NT-ASGD, Merity, Keskar & Socher 2018, algorithm 1)."""

    def __init__(self, model: nn.Module, patience: int = 3) -> None:
        super().__init__(model)
        self.patience = patience

    def update(self) -> None:
        if self.count:
            self._lerp(1 / self.count)
            self.count += 1

    def checked(self, better: bool, run: int) -> None:
        if not self.count and run >= self.patience:
            self.count = 1


def make(model: nn.Module, settings: Settings) -> Average:
    """The average that the settings name."""
    if settings.averaging == "exponential":
        return Exponential(model, settings.average_decay)
    return Triggered(model) if settings.averaging == "triggered" else NoAverage(model)
