"""What a training may be told; every setting has a default that is right for most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from unrolled.errors import BadOption


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to train.

    Attributes:
        optimizer: `adam` (Kingma & Ba 2015), `adamw` (Loshchilov & Hutter 2019) or `sgd`.
        learning_rate: at its highest.
        weight_decay: `adamw`: decoupled, per unit of learning rate; `adam`, `sgd`: added to the gradient.
        momentum: of `sgd`.
        schedule: `constant`, `linear`, `cosine`, `one_cycle` (Smith 2018) or `plateau` (see `plateau_patience`).
        warmup: the share of the training in which the rate climbs to its highest (not for `one_cycle`, which climbs by
            itself).
        plateau_patience: `plateau`: checks without a better figure after which the rate is halved.
        clip_norm: gradients longer than this are shortened to it (Pascanu, Mikolov & Bengio 2013); 0 turns it off.
        batch_rows: examples in a batch, at most.
        batch_elements: rows times the longest row's elements in a batch, at most.
        epochs: passes over the training examples, at most.
        patience: checks without a better figure after which training ends; 0: never.
        averaging: weights that are checked and kept: the `none`-averaged last ones; their `exponential` moving
            average (Polyak & Juditsky 1992, with decay); or their mean since the figure stopped rising, `triggered`
            (NT-ASGD, Merity, Keskar & Socher 2018, arXiv:1708.02182).
        average_decay: of `exponential`, per step.
        checks: looks at the validation split, at least, over the whole training (one an epoch where that is more).
    """

    optimizer: Literal["adam", "adamw", "sgd"] = "adamw"
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    momentum: float = 0.0
    schedule: Literal["constant", "linear", "cosine", "one_cycle", "plateau"] = "cosine"
    warmup: float = 0.02
    plateau_patience: int = 2
    clip_norm: float = 5.0
    batch_rows: int = 32
    batch_elements: int = 4096
    epochs: float = 20.0
    patience: int = 0
    averaging: Literal["none", "exponential", "triggered"] = "none"
    average_decay: float = 0.999
    checks: int = 10

    def __post_init__(self) -> None:
        lowest = {"learning_rate": 0, "epochs": 0, "batch_rows": 1, "batch_elements": 1, "checks": 1}
        for name in ("weight_decay", "momentum", "clip_norm", "patience", "warmup", "plateau_patience"):
            lowest[name] = 0
        for name, least in lowest.items():
            value = getattr(self, name)
            if not value >= least or (name in ("learning_rate", "epochs") and value == 0):
                more = "more than 0" if name in ("learning_rate", "epochs") else f"{least} or more"
                raise BadOption(f"{name} must be {more}, not {value}")
        for name in ("warmup", "momentum", "average_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise BadOption(f"{name} must be in [0, 1), not {getattr(self, name)}")
