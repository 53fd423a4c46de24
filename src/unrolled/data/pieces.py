r"""A stream, UTF-8 text or bytes, in pieces, each as soon as it is there: not by lines, since a line may have no end.

As in files only "\n" ends a line, and "\r\n" is taken as one.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Protocol

from unrolled.errors import BadData

AT_ONCE = 1 << 16
"""Bytes that are asked for at once."""


class Bytes(Protocol):
    """What bytes can be read from as they come, such as `sys.stdin.buffer`."""

    def read1(self, size: int, /) -> bytes: ...


def pieces(file: Bytes, where: str = "standard input") -> Iterator[str]:
    """The text, in the pieces that come. Raises `BadData` at the byte that is not UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    read, ended, kept = 0, False, ""
    while not ended:
        found = file.read1(AT_ONCE)
        ended = not found
        waiting = len(decoder.getstate()[0])
        try:
            text = kept + decoder.decode(found, final=ended)
        except UnicodeDecodeError as error:
            place = read - waiting + error.start + 1
            raise BadData(f"not UTF-8: byte 0x{error.object[error.start]:02x} at position {place}", where) from None
        read += len(found)
        kept = "\r" if text.endswith("\r") and not ended else ""
        text = text.removesuffix(kept).replace("\r\n", "\n")
        if text:
            yield text


def bytes_in_pieces(file: Bytes) -> Iterator[bytes]:
    """As they come."""
    while found := file.read1(AT_ONCE):
        yield found
