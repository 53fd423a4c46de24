"""Sound in pieces, as it comes from a microphone or a pipe: bytes to samples.

Samples of 16 bits, the lower byte first, of one channel and of the rate that is expected. Where the bytes begin with a
WAV header, it is read: then it says how many channels there are, which are mixed, and its rate must be the expected
one, since pieces are not resampled. What stands behind its samples is no sound. Pieces may be cut anywhere, within a
header or a sample, too.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from unrolled.data.media.sound import UNKNOWN_SIZES
from unrolled.data.spectra import FULL_SCALE
from unrolled.errors import BadData

PLAIN, EXTENSIBLE = 1, 0xFFFE
"""Of a WAV header: that samples are plain numbers, and that it is said further on what they are."""
LONGEST_HEADER = 1 << 20
"""Bytes; before the samples of a WAV file notes may stand."""


class Samples:
    """Bytes in, samples out.

    Args:
        rate: samples a second that are expected.
        where: the bytes come from, for messages.
        waiting, channels, left: of another one, to go on from there.

    Attributes:
        waiting: bytes that are not a whole sample yet, or not a whole header.
        channels: of a sample; 0 while it is not known yet whether there is a header.
        left: bytes of samples that are still to come, by the header; -1 where it does not say.
    """

    def __init__(
        self,
        rate: float,
        where: str = "standard input",
        *,
        waiting: bytes = b"",
        channels: int = 0,
        left: int = -1,
    ) -> None:
        self.rate, self.where = rate, where
        self.waiting, self.channels, self.left = waiting, channels, left

    def hear(self, piece: bytes) -> NDArray[np.float32]:
        """The samples that are whole now, (samples,), in [-1, 1].

        Raises `BadData` for a header of what is not expected.
        """
        self.waiting += piece
        if not self.channels and not self._begun():
            return np.zeros(0, dtype=np.float32)
        return self._taken()

    def finish(self) -> NDArray[np.float32]:
        """Those that waited for more: what began as a header does, and was none. Half a sample is dropped.

        Raises `BadData` where a header was cut off.
        """
        if not self.channels and self.waiting[:4] == b"RIFF" and self.waiting[8:12] == b"WAVE":
            raise BadData("the sound ends within its WAV header", self.where)
        self.channels = self.channels or 1
        return self._taken()

    def _taken(self) -> NDArray[np.float32]:
        size = 2 * self.channels
        known = len(self.waiting) if self.left < 0 else min(len(self.waiting), self.left)
        count = known // size * size
        found = np.frombuffer(self.waiting[:count], dtype="<i2").reshape(-1, self.channels) / FULL_SCALE
        self.waiting = self.waiting[count:]
        if self.left >= 0:
            self.left -= count
            self.waiting = self.waiting[: self.left]
        return np.ascontiguousarray(found.mean(axis=1), dtype=np.float32)

    def _begun(self) -> bool:
        """Whether the samples have begun; a header before them is taken out."""
        told = self.waiting
        if not (told[:4] == b"RIFF"[: len(told)] and told[8:12] == b"WAVE"[: max(len(told) - 8, 0)]):
            self.channels = 1
            return True
        at, channels = 12, 0
        while len(head := told[at : at + 8]) == 8:
            name, length = struct.unpack("<4sI", head)
            if name == b"data":
                if not channels:
                    raise BadData("a WAV header that does not say what its samples are", self.where)
                self.channels, self.left = channels, -1 if length in UNKNOWN_SIZES else length
                self.waiting = told[at + 8 :]
                return True
            if name == b"fmt " and len(told) >= at + 8 + length:
                channels = self._told(told[at + 8 : at + 8 + length])
            at += 8 + length + length % 2
            if at > LONGEST_HEADER:
                raise BadData(f"a WAV header of more than {LONGEST_HEADER:,} bytes", self.where)
        return False

    def _told(self, form: bytes) -> int:
        """Channels, of what a header says about the samples."""
        if len(form) < 16:
            raise BadData("a WAV header that does not say what its samples are", self.where)
        kind, channels, rate, _, _, bits = struct.unpack("<HHIIHH", form[:16])
        if kind == EXTENSIBLE and len(form) >= 26:
            (kind,) = struct.unpack("<H", form[24:26])
        if kind != PLAIN or bits != 16 or not channels:
            raise BadData(f"samples of {bits} bits, kind {kind}, where plain ones of 16 bits are expected", self.where)
        if rate != self.rate:
            raise BadData(
                f"{rate:,} samples a second where the model hears {self.rate:,.0f}: convert it on the way, "
                f"`ffmpeg -i FILE -ar {self.rate:.0f} -ac 1 -f s16le -`, say",
                self.where,
            )
        return int(channels)
