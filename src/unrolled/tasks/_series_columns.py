"""Further columns of a series: what is known ahead, and what is observed; scaled by what training had of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unrolled.data.examples import Series

COLUMNS = ("ahead", "observed")
SAID = tuple(f"{name}_{what}" for name in COLUMNS for what in ("means", "deviations"))
"""Options that the training examples say."""


def scales(examples: Sequence[Series]) -> dict[str, list[float]]:
    """Those options, of the columns that there are; 1 deviates what never changes."""
    found: dict[str, list[float]] = {}
    for name in COLUMNS:
        if getattr(examples[0], name) is not None:
            every = np.concatenate([getattr(example, name) for example in examples])
            mean, deviation = np.nanmean(every, axis=0), np.nanstd(every, axis=0)
            found[f"{name}_means"] = mean.tolist()
            found[f"{name}_deviations"] = np.where(deviation > 0, deviation, 1.0).tolist()
    return found


def scaled(example: Series, name: str, options: Mapping[str, Any]) -> NDArray[np.float64]:
    """The columns of that name, (steps, features); what is missing is at the mean. Raises `BadData` for other ones than
    training had.
    """
    given, means = getattr(example, name), options[f"{name}_means"]
    width = 0 if given is None else given.shape[1]
    if width != len(means or ()):
        raise example.problem(f"{width} columns that are {name} where training had {len(means or ())}")
    if given is None:
        return np.zeros((len(example.values), 0))
    return np.nan_to_num((given - np.array(means)) / np.array(options[f"{name}_deviations"]), nan=0.0)
