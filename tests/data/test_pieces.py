"""Text of a stream in pieces: what comes in bytes is the same text, wherever the bytes are parted."""

from __future__ import annotations

import io
from collections.abc import Iterable

import pytest

from unrolled.data.pieces import bytes_in_pieces, pieces
from unrolled.errors import BadData


class Parts:
    """Gives its parts one by one."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self.parts = iter(parts)

    def read1(self, size: int, /) -> bytes:
        return next(self.parts, b"")


TEXT = "a\r\nb\rc\n\n€ 𝄞 é\r\n\r"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_however_bytes_are_parted_the_text_is_the_same(size: int) -> None:
    whole = TEXT.encode()
    found = list(pieces(Parts(whole[at : at + size] for at in range(0, len(whole), size))))
    assert "".join(found) == "a\nb\rc\n\n€ 𝄞 é\n\r"
    assert all(found)


def test_a_piece_comes_before_the_next_is_asked_for() -> None:
    asked = []

    def parts() -> Iterable[bytes]:
        for part in (b"one ", b"two "):
            asked.append(part)
            yield part

    reading = pieces(Parts(parts()))
    assert next(reading) == "one "
    assert asked == [b"one "]


@pytest.mark.parametrize("size", [1, 4, 100])
def test_a_byte_that_is_not_utf8_is_named(size: int) -> None:
    whole = "grün ".encode() + b"\xff oh"
    with pytest.raises(BadData, match="standard input: not UTF-8: byte 0xff at position 7"):
        list(pieces(Parts(whole[at : at + size] for at in range(0, len(whole), size))))


def test_a_character_that_the_end_cuts_off_is_named() -> None:
    with pytest.raises(BadData, match="not UTF-8: byte 0xe2 at position 3"):
        list(pieces(io.BytesIO(b"ab\xe2\x82")))


def test_bytes_come_as_they_are_until_there_are_no_more() -> None:
    assert list(bytes_in_pieces(Parts([b"\xff\r", b"\n"]))) == [b"\xff\r", b"\n"]
    assert list(bytes_in_pieces(io.BytesIO(b"\r\n"))) == [b"\r\n"]
    assert list(bytes_in_pieces(Parts([]))) == []
