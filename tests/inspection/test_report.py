"""A report's own arithmetic: which mistakes come first, which answers have room."""

from __future__ import annotations

import pytest

from unrolled.inspection.report import Mistake, confident_mistakes, figure, narrowed
from unrolled.metrics.classification import Confusion


def test_the_surest_mistakes_come_first_and_unknown_confidence_last() -> None:
    given = [Mistake("a", "x", "y", sure, "") for sure in (None, 0.2, 0.9, None)]
    assert [one.confidence for one in confident_mistakes(given, 3)] == [0.9, 0.2, None]


def test_of_many_labels_those_confused_most_are_kept_in_their_order() -> None:
    counts = ((5, 0, 0), (0, 5, 3), (0, 1, 5))
    labels, kept, shares, left = narrowed(Confusion(("a", "b", "c"), counts), 2)
    assert labels == ("b", "c")
    assert kept.tolist() == [[5, 3], [1, 5]]
    assert left == 1
    assert narrowed(Confusion(("a", "b", "c"), counts), 3)[3] == 0
    # A share is of all that should be so, answers that are not shown included.
    _, kept, shares, _ = narrowed(Confusion(("a", "b", "c"), ((1, 1, 0), (0, 5, 3), (2, 0, 6))), 2)
    assert shares.tolist() == [[5 / 8, 3 / 8], [0, 6 / 8]]


@pytest.mark.parametrize(
    ("value", "shown"), [(0.5, "0.5000"), (0.0, "0.0000"), (5.3e-5, "5.3e-05"), (120.25, "120.2500")]
)
def test_small_figures_keep_their_digits(value: float, shown: str) -> None:
    assert figure(value) == shown
