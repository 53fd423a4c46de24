"""Several right texts for one source."""

from __future__ import annotations

import pytest

from unrolled.metrics.edits import sequence_error_rate
from unrolled.metrics.references import references_of, require_references


def test_lines_of_one_source_are_put_together_in_the_order_of_the_file():
    sources = ["read", "lead", "read", "a", "lead", "read"]
    targets = ["R IY1 D", "L EH1 D", "R EH1 D", "AH0", "L IY1 D", "R IY1 D"]
    right = references_of(sources, targets)
    assert list(right.items()) == [
        ("read", ("R IY1 D", "R EH1 D")),
        ("lead", ("L EH1 D", "L IY1 D")),
        ("a", ("AH0",)),
    ]
    # One word of three is wrong; of the six lines four would be.
    assert sequence_error_rate(list(right.values()), ["R EH1 D", "L EH1 D", "EY1"]) == 1 / 3
    assert references_of([], []) == {}


def test_a_key_is_whatever_tells_two_sources_apart():
    assert references_of([("q", "context"), ("q", None)], ["yes", "no"]) == {
        ("q", "context"): ("yes",),
        ("q", None): ("no",),
    }


def test_as_many_targets_as_keys_are_needed():
    with pytest.raises(ValueError, match=r"zip\(\) argument 2 is shorter than argument 1"):
        references_of(["a", "b"], ["c"])


def test_one_reference_may_stand_alone():
    assert require_references(["ab", ["c", "d"]], ["x", "y"], "texts") == [("ab",), ("c", "d")]
    with pytest.raises(ValueError, match=r"^answers 1: no reference to compare with$"):
        require_references(["a", []], ["x", "y"], "answers")
    with pytest.raises(ValueError, match=r"^1 gold answers, 2 predicted: they must stand side by side$"):
        require_references(["a"], ["x", "y"], "answers")
    with pytest.raises(ValueError, match=r"^no answers to score$"):
        require_references([], [], "answers")
