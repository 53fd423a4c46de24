"""What a training may be told; every setting has a default that is right for most."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args, get_origin, get_type_hints

from unrolled.errors import BadOption, UnknownName


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to train.

    Attributes:
        optimizer: `adam` (Kingma & Ba 2015), `adamw` (Loshchilov & Hutter 2019) or `sgd`.
        learning_rate: at its highest.
        weight_decay: `adamw`: decoupled, per unit of learning rate; `adam`, `sgd`: added to the gradient.
        momentum: of `sgd`.
        epsilon: of `adam` and `adamw`: what is added to the root mean square of a gradient before a step is divided by
            it. Gradients much smaller than this make shorter steps than the learning rate says; where the loss is a
            mean over long sequences, those of a cell's gates can be (the doctor tells).
        schedule: `constant`, `linear`, `cosine`, `one_cycle` (Smith 2018) or `plateau` (see `plateau_patience`).
        warmup: the share of the training in which the rate climbs to its highest (not for `one_cycle`, which climbs by
            itself).
        plateau_patience: `plateau`: so many checks without a better figure halve the rate.
        clip_norm: gradients longer than this are shortened to it (Pascanu, Mikolov & Bengio 2013); 0 turns it off.
        batch_rows: examples in a batch, at most.
        batch_elements: rows times the longest row's elements in a batch, at most.
        epochs: passes over the training examples, at most.
        patience: so many checks in a row without a better figure end the training; 0: never.
        averaging: weights that are checked and kept: the `none`-averaged last ones; their `exponential` moving
            average (Polyak & Juditsky 1992, with decay); or their mean since the figure stopped rising, `triggered`
            (NT-ASGD, Merity, Keskar & Socher 2018, arXiv:1708.02182).
        average_decay: of `exponential`, per step.
        precision: what the compiled kernels multiply in the steps: `float32`, or numbers rounded to `bfloat16`, which
            is quicker where the processor has instructions for it; elsewhere, and without the kernels, it changes
            nothing (`training.precision`). Weights, sums and states are float32 in either case, and so is all that is
            computed with the model afterwards, the checks included.
        layer_decay: where a task begins with a trained encoder, the learning rate of each of its layers is that of the
            one above times this (Howard & Ruder 2018, arXiv:1801.06146, section 3.2).
        unfreeze: there, the share of the training within which the encoder's layers begin to learn, one after the
            other from the top (section 3.3); 0: all from the start.
        checks: looks at the validation split, at least, over the whole training (one an epoch where that is more).
        checkpoint_seconds: a checkpoint is written after every check, and when this long has passed since the last one.
    """

    optimizer: Literal["adam", "adamw", "sgd"] = "adamw"
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    momentum: float = 0.0
    epsilon: float = 1e-8
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
    precision: Literal["float32", "bfloat16"] = "float32"
    layer_decay: float = 0.7
    unfreeze: float = 0.1
    checks: int = 10
    checkpoint_seconds: float = 30.0

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(type(self)).items():
            value = getattr(self, name)
            if get_origin(kind) is Literal:
                if value not in get_args(kind):
                    raise UnknownName(name, str(value), get_args(kind))
            elif not math.isfinite(value):
                raise BadOption(f"{name} must be a finite number, not {value}")
            elif name in ABOVE_ZERO and not value > 0:
                raise BadOption(f"{name} must be more than 0, not {value}")
            elif name in BELOW_ONE and not 0 <= value < 1:
                raise BadOption(f"{name} must be in [0, 1), not {value}")
            elif value < (name in FROM_ONE):
                raise BadOption(f"{name} must be {int(name in FROM_ONE)} or more, not {value}")


ABOVE_ZERO = ("learning_rate", "epsilon", "epochs", "layer_decay")
BELOW_ONE = ("warmup", "momentum", "average_decay", "unfreeze")
FROM_ONE = ("batch_rows", "batch_elements", "checks", "plateau_patience")
"""All other numbers may be anything from 0 on."""
