"""Piano rolls as JSON."""

from __future__ import annotations

from typing import Any

import pytest

from unrolled.data.formats.rolls import Rolls
from unrolled.data.music import Roll, roll
from unrolled.errors import BadData


def read(text: str) -> list[Any]:
    return list(Rolls(Roll).read_stream([text.encode()] if text else [], "a.json"))


def test_a_piece_is_a_list_of_steps_and_a_step_a_list_of_pitches() -> None:
    first, second = read("[[[60,64],[]],\n[[62]]]")
    assert first == Roll(notes=roll([[60, 64], []]), name="1")
    assert second == Roll(notes=roll([[62]]), name="2")


def test_how_long_a_step_is_is_told_beside_the_file() -> None:
    (piece,) = Rolls(Roll, division=4).read_stream([b"[[[60]]]"], "a.json")
    assert isinstance(piece, Roll)
    assert piece.division == 4


def test_pieces_are_read_again_as_they_were_written_with_what_was_made_up_behind() -> None:
    text = "[[[60,64],[]],[[62]]]\n"
    assert b"".join(Rolls(Roll).write_stream(read(text))).decode() == text
    longer = Roll(notes=roll([[60]]), following=((61,), ()))
    assert b"".join(Rolls(Roll).write_stream([longer])) == b"[[[60],[61],[]]]\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("[]", "the file holds no examples"),
        ("{}", "an object where a list of pieces is expected"),
        ("[[[60]], {}]", "piece 2: {} where a list of steps is expected"),
        ("[[]]", "piece 1: it has no steps"),
        ("[[[60], 60]]", "piece 1: step 2 is 60 where a list of pitches is expected"),
        ("[[[60, 128]]]", "piece 1: step 1 holds 128 where a pitch from 0 to 127 is expected"),
        ('[[["C4"]]]', "piece 1: step 1 holds 'C4' where a pitch"),
        ("[[[true]]]", "piece 1: step 1 holds True where a pitch"),
        ("[[[60]]", "not JSON: .*"),
        ("[" * 100_000, "not JSON .*"),
    ],
)
def test_what_is_no_roll_is_named(text: str, message: str) -> None:
    with pytest.raises(BadData, match=message) as found:
        read(text)
    assert str(found.value).startswith("a.json")
