"""What happens in a training, as values. `fit` yields them; a command line draws them, a test reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Prepared:
    """What the training reads from is being made, where that takes long; before there is a plan.

    Attributes:
        done: training examples that it has.
        total: that there are.
    """

    done: int
    total: int


@dataclass(frozen=True)
class Planned:
    """How far the training will go, said before the first step: the same plan gives the same weights.

    Attributes:
        epochs: passes over the training examples, maybe a fraction.
        steps: about how many steps that is.
        examples, elements: of the training split.
        seconds: what it is expected to take, where it was measured for a time budget; else None.
        done: steps that were done before, where the training is resumed.
        precision: what the kernels of this machine multiply in the steps, `float32` or `bfloat16`.
        before: the plans before this one, (step, epochs) each: up to that step it followed that many (`Replanned`).
    """

    epochs: float
    steps: int
    examples: int
    elements: int
    seconds: float | None
    done: int = 0
    precision: str = "float32"
    before: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Replanned:
    """The machine is slower than it was measured, or no longer so slow: the time pays for other epochs than planned.

    The schedule is stretched or shortened with them, so that it ends when the time does. It comes before a check.
    Where the time is over, it is the epochs that were done.

    Attributes:
        step: the last one that followed the plan before.
        plan: the one from here on, of the whole training.
    """

    step: int
    plan: Planned


@dataclass(frozen=True)
class Step:
    """One change of the weights.

    Attributes:
        step: counted from 1.
        epoch: passes over the training examples so far, a fraction.
        progress: the share of the plan that is done, in [0, 1].
        loss: mean over the batch's decisions, in nats.
        gradient_norm: before clipping.
        learning_rate: of this step.
        examples, elements: in this batch.
        seconds: since the training began, pauses between runs left out.
    """

    step: int
    epoch: float
    progress: float
    loss: float
    gradient_norm: float
    learning_rate: float
    examples: int
    elements: int
    seconds: float


@dataclass(frozen=True)
class Check:
    """A look at the validation split. While this event is out, the task carries the weights that were looked at.

    Attributes:
        step, epoch, progress, seconds: as in `Step`.
        train_loss: mean loss per decision since the last check, in nats.
        scores: the task's figures on the validation split.
        best: whether no figure before was better; such weights are kept.
    """

    step: int
    epoch: float
    progress: float
    train_loss: float
    scores: Mapping[str, float]
    best: bool
    seconds: float


@dataclass(frozen=True)
class Looked:
    """A look at the model between two steps, where one was asked for.

    Attributes:
        step, progress, seconds: as in `Step`, of the step before.
        updates: of each parameter by name, how far that step moved it: the norm of the change over its own norm.
        faint: the share of its gradients that are too small for the optimizer's epsilon (`optimizer.faint`).
        found: what the function that looks gave.
    """

    step: int
    progress: float
    updates: Mapping[str, float]
    faint: Mapping[str, float]
    found: Any
    seconds: float


@dataclass(frozen=True)
class Saved:
    """A checkpoint is on the disk: a run that is killed from here on resumes here or later."""

    step: int
    path: str


Event = Prepared | Planned | Replanned | Step | Check | Looked | Saved
