"""Index arithmetic against plain loops over rows and times."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_sequence, pad_packed_sequence

from unrolled.unroll.packing import Segment, layout, reverse, staircase

LENGTHS = st.lists(st.integers(1, 12), min_size=1, max_size=9).map(lambda n: sorted(n, reverse=True))


def pack(lengths: list[int], features: int = 2) -> PackedSequence:
    return pack_sequence([torch.randn(n, features) for n in lengths])


def elements(lengths: list[int]) -> dict[tuple[int, int], int]:
    """(row, time) -> index, by the definition: time-major, the rows that are alive."""
    alive = [(row, time) for time in range(max(lengths)) for row, n in enumerate(lengths) if time < n]
    return {place: index for index, place in enumerate(alive)}


@settings(deadline=None, max_examples=60)
@given(LENGTHS)
def test_the_layout_is_what_a_loop_finds(lengths: list[int]) -> None:
    index = elements(lengths)
    found = layout(pack(lengths).batch_sizes)
    assert found.lengths.tolist() == lengths
    assert found.rows.tolist() == [row for row, _ in index]
    assert found.times.tolist() == [time for _, time in index]
    assert found.starts.tolist() == [index[0, time] for time in range(lengths[0])]
    assert found.last.tolist() == [index[row, n - 1] for row, n in enumerate(lengths)]
    assert found.reversal.tolist() == [index[row, lengths[row] - 1 - time] for row, time in index]


@settings(deadline=None, max_examples=30)
@given(LENGTHS)
def test_padded_places_are_those_of_torch(lengths: list[int]) -> None:
    x = pack(lengths)
    flat = pad_packed_sequence(x)[0].flatten(0, 1)
    assert torch.equal(flat[layout(x.batch_sizes).padded], x.data)


def test_reversing_turns_each_row_round_in_its_place() -> None:
    rows = [torch.randn(n, 3) for n in (2, 5, 1, 4)]
    x = pack_sequence(rows, enforce_sorted=False)
    padded, lengths = pad_packed_sequence(reverse(x), batch_first=True)
    for row, got, n in zip(rows, padded, lengths.tolist(), strict=True):
        assert torch.equal(got[:n], row.flip(0))
    assert torch.equal(reverse(reverse(x)).data, x.data)


@settings(deadline=None, max_examples=60)
@given(LENGTHS, st.integers(0, 30))
def test_a_staircase_holds_every_element_once_at_its_row_and_time(lengths: list[int], overhead: int) -> None:
    index = elements(lengths)
    stairs = staircase(pack(lengths).batch_sizes, overhead)
    # The rectangles follow each other in time, and each is as wide as its first time has rows.
    assert stairs.segments[0].start == 0
    assert stairs.segments[-1].stop == max(lengths)
    for one, other in zip(stairs.segments[:-1], stairs.segments[1:], strict=True):
        assert one.stop == other.start
    places = [(row, time) for s in stairs.segments for time in range(s.start, s.stop) for row in range(s.width)]
    assert len(places) == len(stairs.source) == len(stairs.padding)
    for (row, time), source, padding in zip(places, stairs.source.tolist(), stairs.padding.tolist(), strict=True):
        assert padding == (time >= lengths[row])
        assert source == index[row, min(time, lengths[row] - 1)]
    assert stairs.source[stairs.place].tolist() == list(range(len(index)))
    assert not stairs.padding[stairs.place].any()


@settings(deadline=None, max_examples=60)
@given(LENGTHS, st.integers(0, 30))
def test_a_segments_padding_costs_no_more_than_another_segment(lengths: list[int], overhead: int) -> None:
    sizes = pack(lengths).batch_sizes.tolist()
    for start, stop, width in staircase(torch.tensor(sizes), overhead).segments:
        assert width == sizes[start]
        assert sum(width - size for size in sizes[start:stop]) <= overhead


def test_without_overhead_there_is_no_padding_and_with_much_there_is_one_segment() -> None:
    sizes = pack([9, 7, 7, 2]).batch_sizes
    assert not staircase(sizes, 0).padding.any()
    assert staircase(sizes, 0).segments == (Segment(0, 2, 4), Segment(2, 7, 3), Segment(7, 9, 1))
    assert staircase(sizes, 100).segments == (Segment(0, 9, 4),)


def test_equal_lengths_are_one_segment_without_padding() -> None:
    stairs = staircase(torch.tensor([4, 4, 4]), 0)
    assert stairs.segments == (Segment(0, 3, 4),)
    assert stairs.source.tolist() == list(range(12))


def test_an_index_that_was_made_in_inference_mode_serves_training() -> None:
    x = pack([6, 5, 1])
    with torch.inference_mode():
        reverse(x)
    data = x.data.clone().requires_grad_()
    weight = torch.arange(12.0).unsqueeze(1)
    (reverse(x._replace(data=data)).data * weight).sum().backward()
    expected: Tensor = reverse(x._replace(data=weight.expand(12, 2))).data
    assert torch.equal(data.grad, expected)


@pytest.mark.parametrize("batch", [1, 3])
def test_one_time_step_has_nothing_to_reverse(batch: int) -> None:
    x = PackedSequence(torch.randn(batch, 2), torch.tensor([batch]))
    assert torch.equal(reverse(x).data, x.data)
