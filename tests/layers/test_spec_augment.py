"""What SpecAugment hides."""

from __future__ import annotations

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence, unpack_sequence

from unrolled.errors import BadOption
from unrolled.layers.spec_augment import SpecAugment

ROWS = [torch.ones(50, 8), torch.ones(20, 8), torch.ones(1, 8)]


def hidden(bands: int, steps: int, seed: int = 1) -> list[torch.Tensor]:
    torch.manual_seed(seed)
    packed = pack_sequence(ROWS, enforce_sorted=False)
    return [row == 0 for row in unpack_sequence(SpecAugment(bands, steps).train()(packed))]


def runs(flags: list[bool]) -> list[int]:
    """The lengths of the stretches that are true."""
    return [len(stretch) for stretch in "".join("x "[not flag] for flag in flags).split()]


def test_a_band_is_hidden_for_the_whole_row_and_no_wider_than_it_may_be() -> None:
    seen = set()
    for seed in range(50):
        for row in hidden(3, 0, seed):
            assert torch.equal(row.all(0), row.any(0))
            widths = runs(row[0].tolist())
            assert sum(widths) <= 6
            assert len(widths) <= 2
            seen |= {sum(widths)}
    assert seen >= {0, 1, 2, 3, 4}


def test_a_stretch_of_time_is_hidden_in_all_features_and_no_longer_than_a_fifth_of_its_row() -> None:
    longest = [0, 0, 0]
    for seed in range(50):
        for k, row in enumerate(hidden(0, 7, seed)):
            assert torch.equal(row.all(1), row.any(1))
            longest[k] = max(longest[k], int(row.any(1).sum()))
    assert longest[0] in range(8, 15)
    assert longest[1] in range(5, 9)
    assert longest[2] == 0


def test_rows_have_masks_of_their_own_and_every_place_may_be_hidden() -> None:
    first, second, _ = hidden(4, 4, 3)
    assert not torch.equal(first[:20], second)
    total = sum(hidden(4, 7, seed)[0].int() for seed in range(200))
    assert (total > 0).all()


def test_features_that_stand_several_times_are_hidden_together() -> None:
    torch.manual_seed(2)
    (row,) = unpack_sequence(SpecAugment(3, 0, copies=2).train()(pack_sequence([torch.ones(5, 8)])))
    assert torch.equal(row[:, :4], row[:, 4:])
    assert (row == 0).any()


def test_nothing_is_hidden_in_evaluation_or_where_no_size_is_given() -> None:
    packed = pack_sequence(ROWS, enforce_sorted=False)
    assert SpecAugment(3, 3).eval()(packed) is packed
    assert SpecAugment(0, 0).train()(packed) is packed


def test_sizes_below_0_are_refused() -> None:
    with pytest.raises(BadOption, match="masked_features must be 0 or more, not -1"):
        SpecAugment(-1, 0)
    with pytest.raises(BadOption, match="masked_steps must be 0 or more, not -2"):
        SpecAugment(0, -2)
