"""What decoding gives: a sequence of tokens and how good it is."""

from __future__ import annotations

from typing import NamedTuple


class Hypothesis(NamedTuple):
    """One sequence.

    Attributes:
        tokens: without the marks of begin and end.
        score: what ranks it, the higher the better; normalised for length and so on where that was asked for.
        log_probability: the model's own, in nats: the sum over the tokens and, where it finished, the end mark.
        finished: it ended by the end mark, and was not cut off at the greatest length, or where nothing was allowed.
    """

    tokens: tuple[int, ...]
    score: float
    log_probability: float
    finished: bool
